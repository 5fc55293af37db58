"""The user's own configurations made objects; those that a file holds are built by :mod:`.from_file`."""

from collections.abc import Callable, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from joint_seg_cls.errors import ConfigError, InputError

#: What :func:`build`, or an object that it made, raises where arguments do not fit.
REFUSALS = (InstantiationException, TypeError, ValueError, ZeroDivisionError)
#: What parts raise when they are made of arguments that they cannot bear.
_OF_ARGUMENTS = (TypeError, ValueError, ImportError, AttributeError, KeyError, ArithmeticError, RuntimeError)


def require(config: DictConfig, command: str, *keys: str) -> None:
    """Refuse a configuration in which one of ``keys`` was left open."""
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
    """Instantiate a configuration; its lists and dicts arrive as plain Python.

    Raises:
        InputError: a part refused its arguments (its own sentence), or does not take them.
    """
    try:
        return instantiate(config, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, _OF_ARGUMENTS) or error.__cause__ is None:
            reason = " ".join(str(error).split())
            raise ConfigError(
                str(config.get("_target_", "configuration"))
                if isinstance(config, Mapping | DictConfig)
                else "configuration",
                expected="arguments that this part takes",
                found=reason,
                remedy="see --cfg job for the composed configuration",
            ) from error
        raise


def target_of(config: Any) -> Callable[..., Any] | None:
    """Return the class or function that a configuration names in ``_target_``; None where it names none."""
    return get_method(config["_target_"]) if "_target_" in config else None
