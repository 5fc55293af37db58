"""Values of keys that several commands share, checked before any work begins."""

import errno
import os
from pathlib import Path

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from joint_seg_cls.atomic_write import clear_partial
from joint_seg_cls.config.folders import config_folder
from joint_seg_cls.config.schema import PATH_KEYS
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan.tables import shortened


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


def refuse_wrong_paths(config: DictConfig, command: str) -> None:
    """Refuse paths that no file can have, and a null where the command's own configuration has a path.

    Raises:
        ConfigError: there is one.
    """
    shipped = yaml.safe_load((config_folder() / f"{command}.yaml").read_text(encoding="utf-8"))
    for key in PATH_KEYS:
        parent, _, name = key.rpartition(".")
        within = OmegaConf.select(config, parent) if parent else config
        if not isinstance(within, DictConfig) or name not in within or OmegaConf.is_missing(within, name):
            continue
        value = within[name]
        if value is None and (default := shipped.get(key)) not in (None, "???"):
            raise ConfigError(key, expected="a path", found="null", remedy=f"set {key}={default}, or another path")
        for path in _leaves(value):
            _refuse_wrong_path(key, path)


def _leaves(value: object) -> list[str]:
    if isinstance(value, ListConfig):
        return [path for each in value for path in _leaves(each)]
    return [] if value is None else [str(value)]


def _refuse_wrong_path(key: str, path: str) -> None:
    found = None if path.strip() else "an empty one"
    try:
        Path(path).expanduser().exists()
    except RuntimeError:
        found = f"the home folder of nobody on this machine, {Path(path).parts[0]}"
    except (OSError, ValueError) as error:
        if not isinstance(error, PermissionError):
            found = f"one that no file can have ({getattr(error, 'strerror', None) or error})"
    if found is not None:
        raise ConfigError(key, expected="a path", found=found, remedy=f"correct {key}=")


def folder_to_write(config: DictConfig, key: str) -> Path:
    """Return a folder that is there or can be made; nothing is made yet.

    Raises:
        ConfigError: it is a file, lies below one, or cannot be written to.
    """
    return writable(path(config, key), key)


def path(config: DictConfig, key: str) -> Path:
    """Return the path that ``key`` names, ``~`` replaced by the home folder.

    Raises:
        ConfigError: there is no such home folder, or no file system takes the name.
    """
    return path_of(OmegaConf.select(config, key), key)


def path_of(text: object, key: str) -> Path:
    """Return the path that ``text``, a part of ``key``, names, as :func:`path` does."""
    try:
        found = Path(str(text)).expanduser()
        found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        where = f"{shortened(text)} ({reason})"
        raise ConfigError(key, expected="a path", found=where, remedy=f"correct {key}=") from error
    return found


def writable(folder: Path, key: str) -> Path:
    """Return a folder that follows from ``key`` and is there or can be made; nothing is made yet.

    Raises:
        ConfigError: it is a file, lies below one, or cannot be written to.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    found = None if there.is_dir() else f"a file, {there}"
    if found is None and not os.access(there, os.W_OK | os.X_OK):
        found = f"no right to write in {there}"
    if found is not None:
        raise ConfigError(key, expected="a folder that can be written", found=found, remedy=f"choose another {key}=")
    return folder


def make_folder(folder: Path, key: str, *, below: bool = False) -> None:
    """Make a folder that follows from ``key``, and clear from it what killed processes left half-written.

    Args:
        folder: the folder.
        key: what the user can change.
        below: whether the folders in it are cleared too.

    Raises:
        ConfigError: it cannot be made there.
        OSError: the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        found = error.strerror or type(error).__name__
        raise ConfigError(
            key, expected="a folder that can be written", found=found, remedy=f"choose another {key}="
        ) from error
    clear_partial(folder, below=below)
