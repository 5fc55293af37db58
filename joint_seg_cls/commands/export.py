"""``jsc export``: a trained network as a MONAI bundle that runs without this program."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from joint_seg_cls.atomic_write import clear_partial
from joint_seg_cls.config import keys
from joint_seg_cls.config.build import require
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.export import export_bundle, facts_of, refuse_filled, require_onnx
from joint_seg_cls.runs.load import load_pipeline, load_predictor
from joint_seg_cls.training import is_pretrained

_log = logging.getLogger(__name__)


def export(config: DictConfig) -> None:
    """Write the bundle of a run, or of single weights."""
    require(config, "export", "out")
    out = keys.folder_to_write(config, "out")
    refuse_filled(out)
    clear_partial(out.parent)
    if keys.flag(config, "onnx"):
        require_onnx()
    weights = config.checkpoint if config.checkpoint is not None else config.run
    if weights is None:
        raise ConfigError(
            "run",
            expected="a run folder, or weights as checkpoint=",
            found="neither",
            remedy="give run= or checkpoint=",
        )
    predictor, checkpoint = load_predictor(weights, device="cpu", trust=config.trust)
    load_pipeline(checkpoint, config.trust)  # refuses what cannot be built
    done = export_bundle(predictor.network, checkpoint, facts_of(_run(config), checkpoint), out, onnx=config.onnx)
    for kind, found in done.differences.items():
        _log.info("%s: outputs differ from the network's by at most %.1e of the largest", kind, max(found.values()))
    for sentence in done.missing:
        _log.warning("not reproduced: %s", sentence)
    _log.info("written to %s; how to run it: %s", out, out / "docs" / "README.md")


def _run(config: DictConfig) -> Path | None:
    """Return the run folder, which ``checkpoint=`` may name too."""
    named = config.run if config.run is not None else config.checkpoint
    if is_pretrained(named):
        return None
    folder = Path(str(named)).expanduser()
    return folder if folder.is_dir() else None
