"""OmegaConf resolvers, such as `${store_name:path}` and `${auto_precision:cpu}`."""

import json
import sys
from collections import defaultdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf


def register() -> None:
    """Register the resolvers; may be called repeatedly."""
    OmegaConf.register_new_resolver("store_name", _store_name, replace=True)
    OmegaConf.register_new_resolver("expand_user", _expand_user, replace=True)
    OmegaConf.register_new_resolver("auto_precision", _auto_precision, replace=True)
    OmegaConf.register_new_resolver("gpus_of_a_job", _gpus_of_a_job, replace=True)
    OmegaConf.register_new_resolver("mapping", _mapping, replace=True)
    OmegaConf.register_new_resolver("config_groups", _config_groups, replace=True)


def _store_name(path: str) -> str:
    """Return the default collection name of a prepared store."""
    return Path(path).expanduser().resolve().name


def _expand_user(path: str) -> str:
    """Return the path with ``~`` expanded."""
    return str(Path(path).expanduser())


def _mapping(text: str) -> DictConfig:
    """Return a mapping from JSON, with arbitrary keys."""
    return DictConfig(json.loads(text))


def _auto_precision(accelerator: str = "auto") -> str:
    """Return bf16 mixed precision if the GPU supports it, else full precision (CPUs emulate bf16 very slowly)."""
    import torch

    if accelerator == "cpu":
        return "32-true"
    is_supported = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if is_supported else "32-true"


def _gpus_of_a_job() -> int:
    """Return 1 if this machine has a GPU, else 0."""
    from joint_seg_cls.config.machine import visible_gpus

    return min(1, len(visible_gpus()))


def _config_groups(*names: str) -> str:
    """Return the named config groups, their subgroups and options, one line each, for a command's help."""
    from joint_seg_cls.config.folders import config_dirs, config_folder

    options: dict[str, set[str]] = defaultdict(set)
    for folder in (config_folder(), *config_dirs(sys.argv)):
        for name in names:
            for file in (folder / name).rglob("*.yaml"):
                options[file.parent.relative_to(folder).as_posix()].add(file.stem)
    return "\n".join(f"{group}: {', '.join(sorted(found))}" for group, found in sorted(options.items()))
