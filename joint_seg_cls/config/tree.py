"""Access to a composed configuration by dotted keys."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from omegaconf import DictConfig, OmegaConf, open_dict

Config: TypeAlias = DictConfig


def get(config: Config, key: str) -> Any:
    """Return the value of a dotted key; None if it is missing."""
    return OmegaConf.select(config, key)


def put(config: Config, key: str, value: Any) -> None:
    """Set the value of a dotted key."""
    OmegaConf.update(config, key, value)


def replaced(config: Config, key: str, value: Any) -> Config:
    """Return a copy with ``key``, existing or new, set to ``value``."""
    changed = config.copy()
    with open_dict(changed):
        OmegaConf.update(changed, key, value, merge=False)
    return changed


def as_written(config: Config) -> dict[str, Any]:
    """Return a configuration as dicts and lists with unresolved interpolations."""
    written: Any = OmegaConf.to_container(config)
    return written


def plain(config: Any) -> Any:
    """Return a configuration as dicts and lists with resolved interpolations."""
    return (
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True) if OmegaConf.is_config(config) else config
    )


def flatten(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return a nested mapping as pairs of dotted key and value."""
    if isinstance(value, Mapping) and value:
        return [
            pair for key, child in value.items() for pair in flatten(child, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, value)]
