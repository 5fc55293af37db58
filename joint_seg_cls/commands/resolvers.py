"""Values that configurations compute: `${store_name:path}`, `${auto_precision:}`."""

from pathlib import Path

from omegaconf import OmegaConf


def register() -> None:
    """Make the resolvers known to OmegaConf; calling it again changes nothing."""
    OmegaConf.register_new_resolver("store_name", _store_name, replace=True)
    OmegaConf.register_new_resolver("auto_precision", _auto_precision, replace=True)


def _store_name(path: str) -> str:
    """Return the name by which a prepared store's runs are collected."""
    return Path(path).expanduser().resolve().name


def _auto_precision() -> str:
    """Return bf16 mixed precision where the GPU has it, full precision elsewhere (CPUs emulate bf16, very slowly)."""
    import torch

    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"
