"""Reading composed configurations and building objects from them; :mod:`.from_file` builds those stored in a file."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from hydra.errors import InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue

from joint_seg_cls.errors import ConfigError, InputError, reason_of

#: Exceptions of :func:`build`, or of a built object, for invalid arguments.
REFUSALS = (InstantiationException, TypeError, ValueError, ZeroDivisionError)
#: Exceptions of constructors for invalid arguments.
_OF_ARGUMENTS = (TypeError, ValueError, ImportError, AttributeError, KeyError, ArithmeticError, RuntimeError)

Config: TypeAlias = DictConfig


def require(config: DictConfig, command: str, *keys: str) -> None:
    """Refuse a configuration without a value for one of ``keys``."""
    for key in keys:
        try:
            found = OmegaConf.select(config, key, throw_on_missing=True)
        except MissingMandatoryValue:
            found = None
        if found is None:
            raise ConfigError(
                f"jsc {command}", expected=f"a value for {key}", found="none", remedy=f"add {key}=... to the command"
            )


def build(config: Any) -> Any:
    """Instantiate a configuration; lists and dicts are passed as plain Python objects.

    Raises:
        InputError: a part refuses its arguments.
    """
    try:
        return instantiate(config, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, _OF_ARGUMENTS) or error.__cause__ is None:
            raise ConfigError(
                str(config.get("_target_", "configuration"))
                if isinstance(config, Mapping | DictConfig)
                else "configuration",
                expected="valid arguments for this part",
                found=reason_of(error, 1000),
                remedy="see --cfg job for the composed configuration",
            ) from error
        raise


def target_of(config: Any) -> Callable[..., Any] | None:
    """Return the class or function of ``_target_``; None if there is no ``_target_``."""
    return get_method(config["_target_"]) if "_target_" in config else None


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
