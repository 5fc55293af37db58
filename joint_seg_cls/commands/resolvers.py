"""Values that configurations compute: `${store_name:path}`, `${auto_precision:}`, `${gpus_of_a_job:}`."""

from pathlib import Path

from omegaconf import OmegaConf


def register() -> None:
    """Make the resolvers known to OmegaConf; calling it again changes nothing."""
    OmegaConf.register_new_resolver("store_name", _store_name, replace=True)
    OmegaConf.register_new_resolver("auto_precision", _auto_precision, replace=True)
    OmegaConf.register_new_resolver("gpus_of_a_job", _gpus_of_a_job, replace=True)


def _store_name(path: str) -> str:
    """Return the name by which a prepared store's runs are collected."""
    return Path(path).expanduser().resolve().name


def _auto_precision() -> str:
    """Return bf16 mixed precision where the GPU has it, full precision elsewhere (CPUs emulate bf16, very slowly)."""
    import torch

    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"


def _gpus_of_a_job() -> int:
    """Return 1 where this machine has a GPU."""
    from joint_seg_cls.commands.launcher.slots import visible_gpus

    return min(1, len(visible_gpus()))
