"""The configuration of a learning-rate schedule."""

from typing import Any

from omegaconf import DictConfig

from joint_seg_cls.config.build import build
from joint_seg_cls.config.tree import plain
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.training import Interval, Schedule

#: Keys besides the schedule's own arguments, named as in Lightning.
_WHEN = ("interval", "frequency")


def schedule_of(config: DictConfig) -> Schedule:
    """Return the schedule configured in ``scheduler``: class, arguments, ``interval`` and ``frequency``.

    Raises:
        ConfigError: ``interval`` or ``frequency`` is invalid.
    """
    settings = _settings(config)
    interval: Any = settings.get("interval", "epoch")
    if interval not in ("epoch", "step"):
        raise ConfigError(
            "scheduler.interval", expected="epoch or step", found=repr(interval), remedy="set scheduler.interval=step"
        )
    frequency = settings.get("frequency", 1)
    if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
        raise ConfigError(
            "scheduler.frequency",
            expected="a whole number, 1 or more",
            found=repr(frequency),
            remedy="set scheduler.frequency=1",
        )
    return Schedule(build({key: value for key, value in settings.items() if key not in _WHEN}), interval, frequency)


def interval_of(config: DictConfig) -> Interval | None:
    """Return the configured interval, or None."""
    return _settings(config).get("interval")


def _settings(config: DictConfig) -> dict[str, Any]:
    return plain(config.scheduler)
