"""Folders of configurations, and OmegaConf resolvers such as `${store_name:path}` and `${auto_precision:cpu}`."""

import itertools
import json
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where it is used, so that `jsc --help` is fast
    from omegaconf import DictConfig

#: Environment variable that limits the GPUs visible to CUDA.
VISIBLE = "CUDA_VISIBLE_DEVICES"


def register() -> None:
    """Register the resolvers; may be called repeatedly."""
    from omegaconf import OmegaConf

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


def _mapping(text: str) -> "DictConfig":
    """Return a mapping from JSON, with arbitrary keys."""
    from omegaconf import DictConfig

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
    return min(1, len(visible_gpus()))


def _config_groups(*names: str) -> str:
    """Return the named config groups, their subgroups and options, one line each, for a command's help."""
    options: dict[str, set[str]] = defaultdict(set)
    for folder in (config_folder(), *config_dirs(sys.argv)):
        for name in names:
            for file in (folder / name).rglob("*.yaml"):
                options[file.parent.relative_to(folder).as_posix()].add(file.stem)
    return "\n".join(f"{group}: {', '.join(sorted(found))}" for group, found in sorted(options.items()))


def config_folder() -> Path:
    """Return the folder of the shipped configurations: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def config_dirs(words: Sequence[str]) -> list[Path]:
    """Return the folders that a command line adds with ``--config-dir``."""
    joined = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    following = [value for flag, value in itertools.pairwise(words) if flag in ("--config-dir", "-cd")]
    return [Path(folder) for folder in (*joined, *following)]


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, without importing torch."""
    import shutil  # here, as below, so that `jsc --help` is fast
    import subprocess

    if (named := os.environ.get(VISIBLE)) is not None:
        ids = itertools.takewhile(lambda each: each not in ("", "-1", "NoDevFiles"), map(str.strip, named.split(",")))
        return list(dict.fromkeys(ids))  # CUDA also ignores ids after -1
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    return done.stdout.split() if done.returncode == 0 else []
