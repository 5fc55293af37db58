"""Configurations made objects, and what a user got wrong in them said in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from joint_seg_cls.errors import CheckpointError, ConfigError, InputError

#: What parts raise when they are made of arguments that they cannot bear.
_OF_ARGUMENTS = (TypeError, ValueError, ImportError, AttributeError, KeyError, ArithmeticError, RuntimeError)
#: Where the parts named by a file from elsewhere may come from; a user's own packages are added with `trust=[...]`.
TRUSTED = ("joint_seg_cls.", "monai.networks.nets.")


def plain(config: Any) -> Any:
    """Return a configuration as resolved dicts and lists, fit for JSON and for a checkpoint."""
    return (
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True) if OmegaConf.is_config(config) else config
    )


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


def build_trusted(config: Mapping[str, Any], where: str, trust: Sequence[str] = ()) -> Any:
    """Instantiate a configuration that came with a checkpoint, if all its parts come from trusted packages.

    Raises:
        CheckpointError: a part lies elsewhere; a file must not decide what is imported and called.
    """
    allowed = (*TRUSTED, *(f"{package.rstrip('.')}." for package in trust))
    for target in _targets(config):
        if not target.startswith(allowed):
            raise CheckpointError(
                where,
                expected=f"parts from {', '.join(name.rstrip('.') for name in allowed)}",
                found=target,
                remedy=f"if you trust it, add trust=[{target.split('.')[0]}]",
            )
    return build(OmegaConf.create(dict(config)))


def packages(config: Any) -> set[str]:
    """Return the packages that the parts of a configuration come from."""
    return {target.split(".")[0] for target in _targets(plain(config))}


def _targets(config: Any) -> list[str]:
    if isinstance(config, Mapping):
        own = [str(config["_target_"])] if "_target_" in config else []
        return own + [target for value in config.values() for target in _targets(value)]
    if isinstance(config, list | tuple):
        return [target for value in config for target in _targets(value)]
    return []
