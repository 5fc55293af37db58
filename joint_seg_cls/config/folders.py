"""Folders of configurations: the shipped ones, and those added on the command line."""

import itertools
from collections.abc import Sequence
from pathlib import Path


def config_folder() -> Path:
    """Return the folder of the shipped configurations: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def config_dirs(words: Sequence[str]) -> list[Path]:
    """Return the folders that a command line adds with ``--config-dir``."""
    joined = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    following = [value for flag, value in itertools.pairwise(words) if flag in ("--config-dir", "-cd")]
    return [Path(folder) for folder in (*joined, *following)]
