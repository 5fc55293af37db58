"""Readers of folders with their shipped settings."""

from omegaconf import OmegaConf

from joint_seg_cls.config.build import build
from joint_seg_cls.config.folders import config_folder
from joint_seg_cls.scan.readers import Reader


def shipped_reader(source: str) -> Reader:
    """Return the reader that ``jsc cohort source=...`` uses."""
    return build(OmegaConf.load(config_folder() / "source" / f"{source}.yaml"))
