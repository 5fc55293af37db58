"""Values of keys that several commands share, checked before any work begins."""

import os
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from joint_seg_cls.errors import ConfigError


def names(config: DictConfig, key: str, *, least: int) -> list[str]:
    """Return the different names that ``key`` lists.

    Raises:
        ConfigError: it is no list, names something twice, or names fewer than ``least``.
    """
    value = OmegaConf.select(config, key)
    found = [str(each) for each in value] if isinstance(value, ListConfig) else None
    if found is None or len(set(found)) < max(least, len(found)) or not all(found):
        default = {"classes": "MS,NMOSD", "accept": "duplicates"}.get(key, "flair")
        raise ConfigError(
            key,
            expected=f"a list of at least {least} different names",
            found=str(value) if found is None else f"[{','.join(found)}]",
            remedy=f"write {key}=[{default}]",
        )
    return found


def workers(config: DictConfig) -> int:
    """Return how many processes share the work; 0 and 1 mean this one alone.

    Raises:
        ConfigError: as :func:`whole_number`.
    """
    return whole_number(config, "workers")


def whole_number(config: DictConfig, key: str) -> int:
    """Return the number that ``key`` gives.

    Raises:
        ConfigError: it is no whole number, or below 0.
    """
    value = OmegaConf.select(config, key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(key, expected="a whole number, 0 or more", found=repr(value), remedy=f"correct {key}=")
    return value


def flag(config: DictConfig, key: str) -> bool:
    """Return whether ``key`` is true.

    Raises:
        ConfigError: it is neither true nor false: Hydra reads ``no`` as a word, which is true to Python.
    """
    value = OmegaConf.select(config, key)
    if not isinstance(value, bool):
        raise ConfigError(key, expected="true or false", found=repr(value), remedy=f"correct {key}=")
    return value


def require_mapping(config: DictConfig, key: str) -> None:
    """Refuse a value that is there and says of no name what it stands for.

    Raises:
        ConfigError: the value is neither null nor a mapping.
    """
    value = OmegaConf.select(config, key)
    if not (value is None or isinstance(value, DictConfig)):
        name = key.rpartition(".")[2]
        remedy = f"write '{name}={{one: two}}', with a space after the colon"
        raise ConfigError(name, expected="names and what they stand for", found=str(value), remedy=remedy)


def folder_to_write(config: DictConfig, key: str) -> Path:
    """Return a folder that is there or can be made; nothing is made yet.

    Raises:
        ConfigError: it is a file, lies below one, or cannot be written to.
    """
    return writable(Path(str(OmegaConf.select(config, key))).expanduser(), key)


def writable(path: Path, key: str) -> Path:
    """Return a folder that follows from ``key`` and is there or can be made; nothing is made yet.

    Raises:
        ConfigError: it is a file, lies below one, or cannot be written to.
    """
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    found = None if there.is_dir() else f"a file, {there}"
    if found is None and not os.access(there, os.W_OK | os.X_OK):
        found = f"no right to write in {there}"
    if found is not None:
        raise ConfigError(key, expected="a folder that can be written", found=found, remedy=f"choose another {key}=")
    return path
