"""Checks of keys before any work begins: those that commands share, and those of a training against the schema."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from joint_seg_cls.atomic_write import clear_partial
from joint_seg_cls.config.build import Config, get
from joint_seg_cls.config.options import GROUPS, without_option
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.config.schema import CLOSED, PATH_KEYS, keys_of, nearest
from joint_seg_cls.errors import ConfigError, is_whole, require_valid, shortened


def names(config: DictConfig, key: str, *, least: int) -> list[str]:
    """Return the distinct names listed in ``key``.

    Raises:
        ConfigError: the value is not a list, repeats a name, or has fewer than ``least`` names.
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


def whole_number(config: DictConfig, key: str) -> int:
    """Return the non-negative integer value of ``key``.

    Raises:
        ConfigError: the value is not an integer, or negative.
    """
    value = OmegaConf.select(config, key)
    require_valid(key, is_whole(value, 0), "a whole number, 0 or more", value)
    return value


def flag(config: DictConfig, key: str) -> bool:
    """Return the boolean value of ``key``.

    Raises:
        ConfigError: the value is not a boolean, such as ``no``, which Hydra reads as a string.
    """
    value = OmegaConf.select(config, key)
    require_valid(key, isinstance(value, bool), "true or false", value)
    return value


def require_mapping(config: DictConfig, key: str) -> None:
    """Refuse a value that is not a mapping.

    Raises:
        ConfigError: the value is neither null nor a mapping.
    """
    value = OmegaConf.select(config, key)
    if not (value is None or isinstance(value, DictConfig)):
        name = key.rpartition(".")[2]
        remedy = f"""write '{name}={{one: two, "#3": four}}', with a space after the colon and signs in quotes"""
        raise ConfigError(name, expected="a mapping of names", found=str(value), remedy=remedy)


def refuse_wrong_paths(config: DictConfig, command: str) -> None:
    """Refuse invalid paths, and null where the command has a default path.

    Raises:
        ConfigError: a path is invalid.
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
        found = f"an unknown home folder, {Path(path).parts[0]}"
    except (OSError, ValueError) as error:
        if not isinstance(error, PermissionError):
            found = f"an invalid path ({getattr(error, 'strerror', None) or error})"
    if found is not None:
        raise ConfigError(key, expected="a path", found=found, remedy=f"correct {key}=")


def folder_to_write(config: DictConfig, key: str) -> Path:
    """Return an existing or creatable folder without creating it.

    Raises:
        ConfigError: the path is a file, is below a file, or is not writable.
    """
    return writable(path(config, key), key)


def path(config: DictConfig, key: str) -> Path:
    """Return the path in ``key`` with ``~`` expanded.

    Raises:
        ConfigError: the home folder does not exist, or the path is invalid.
    """
    return path_of(OmegaConf.select(config, key), key)


def path_of(text: object, key: str) -> Path:
    """Return the path ``text``, which is part of ``key``, as :func:`path` does."""
    try:
        found = Path(str(text)).expanduser()
        found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        where = f"{shortened(text)} ({reason})"
        raise ConfigError(key, expected="a path", found=where, remedy=f"correct {key}=") from error
    return found


def writable(folder: Path, key: str) -> Path:
    """Return a folder derived from ``key`` that exists or can be created, without creating it.

    Raises:
        ConfigError: the path is a file, is below a file, or is not writable.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    found = None if existing.is_dir() else f"a file, {existing}"
    if found is None and not os.access(existing, os.W_OK | os.X_OK):
        found = f"no write permission for {existing}"
    if found is not None:
        raise ConfigError(key, expected="a writable folder", found=found, remedy=f"choose another {key}=")
    return folder


def make_folder(folder: Path, key: str, *, below: bool = False) -> None:
    """Create a folder derived from ``key``, and delete partial files of killed processes in it.

    Args:
        key: the key for the error message.
        below: also delete partial files in subfolders.

    Raises:
        ConfigError: the folder cannot be created.
        OSError: the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        found = error.strerror or type(error).__name__
        raise ConfigError(key, expected="a writable folder", found=found, remedy=f"choose another {key}=") from error
    clear_partial(folder, below=below)


def refuse_unknown_keys(config: Config, choices: Mapping[str, str | None]) -> None:
    """Refuse unknown keys in a user's files, since Hydra checks only the command line.

    Keys that begin with an underscore are allowed, for interpolation.

    Raises:
        ConfigError: a key is unknown, or a whole group was removed.
    """
    for group in GROUPS:
        if get(config, group) is None:
            raise without_option(group)
    for part in CLOSED:
        known = keys_of(part)
        for key in map(str, get(config, part) if part else config):
            if key in known or key.startswith("_"):
                continue
            if not part and choices.get(key) is not None:
                raise ConfigError(
                    f"{key}/{choices[key]}.yaml",
                    expected="# @package _global_ as its first line, so that its keys take effect",
                    found="another first line",
                    remedy="add that line",
                )
            raise unknown_key(f"{part}.{key}".lstrip("."))


def unknown_key(name: str) -> ConfigError:
    """Return the error for an unknown key, with the most similar known key."""
    close = nearest(name)
    return ConfigError(
        name,
        expected="a key that a training reads",
        found="no key of this name",
        remedy=f"did you mean {close}" if close else "correct or remove it",
    )
