"""Early checks of settings that take effect late: before data are read and before a run starts."""

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from joint_seg_cls.config.build import REFUSALS, build, target_of
from joint_seg_cls.config.schedule import interval_of, schedule_of
from joint_seg_cls.config.schema import CLOSED, KEYS, keys_of, nearest
from joint_seg_cls.config.tree import Config, as_written, flatten, get, plain
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs.combinations import GROUPS, without_option
from joint_seg_cls.training import refuse_misuse

_SCORES = ("val/dice", "val/auc", "val/acc", "val/score")
#: Trainer arguments that are refused: allowed values, the reason, and the alternative.
_NOT_HERE = {
    "max_steps": (
        (None, -1),
        "an interrupted run could not be resumed with identical results",
        "use trainer.max_epochs, with trainer.limit_train_batches for the steps per epoch",
    ),
    "fast_dev_run": (
        (None, False, 0),
        "it writes no checkpoint to test",
        "use trainer.max_epochs=1 trainer.limit_train_batches=1",
    ),
    "logger": ((None, False), "tracking= selects the loggers", "use tracking="),
}
#: Number of steps with which a schedule is checked; the real number depends on the data.
_TRIED_STEPS = 1000


def refuse_wrong_values(config: Config) -> None:
    """Refuse values that do not match the type, range or choices of the schema, and NaN or infinity in any key.

    Raises:
        ConfigError: a value is invalid.
    """
    for key in KEYS:
        parent, _, name = key.name.rpartition(".")
        within = get(config, parent) if parent else config
        if not key.is_checked or not isinstance(within, Mapping) or name not in within:
            continue
        value = plain(within[name])
        if (expected := key.fault(value)) is not None:
            remedy = "write tables=[7]" if name == "tables" else f"correct {key.name}="
            found = "null" if value is None else str(value) if name == "tables" else repr(value)
            raise ConfigError(key.name, expected=expected, found=found, remedy=remedy)
    for name, value in flatten(as_written(config)):
        if any(isinstance(each, float) and not math.isfinite(each) for each in _numbers(value)):
            raise ConfigError(name, expected="a finite number", found=str(value), remedy=f"correct {name}=")


def _numbers(value: Any) -> Iterator[Any]:
    """Yield what a value consists of: itself, or what is in a list at any depth."""
    if isinstance(value, list):
        for each in value:
            yield from (found for _, inner in flatten(each) for found in _numbers(inner))
    else:
        yield value


def refuse_unknown_keys(config: Config, choices: Mapping[str, str | None]) -> None:
    """Refuse unknown keys in a user's files, since Hydra checks only the command line.

    Keys that begin with an underscore are allowed, for interpolation.

    Args:
        config: the composed configuration.
        choices: the option of each group.

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
        found="none of this name",
        remedy=f"did you mean {close}" if close else "correct or remove it",
    )


def refuse_wrong_parts(config: Config) -> None:
    """Check the arguments of optimiser, schedule and Trainer by building them for one weight.

    Raises:
        ConfigError: an argument is invalid.
    """
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = _tried("optimizer", lambda: build(config.optimizer)([weight]))
    schedule = _tried("scheduler", lambda: schedule_of(config).start(optimizer, lambda _: _TRIED_STEPS))
    refuse_misuse(schedule, interval_of(config))
    is_plateau = isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau)
    with warnings.catch_warnings(action="ignore"):  # the schedule steps before the optimiser
        _tried("scheduler", lambda: schedule.step(0.0) if is_plateau else schedule.step())
    if is_plateau:
        _refuse_wrong_way(schedule.mode, str(config.protocol.monitor))
    _refuse_dead_arguments(config)
    target = target_of(config.trainer)
    known = set(inspect.signature(target).parameters) if target is not None else set()
    for key in config.trainer:
        if known and key not in known and not str(key).startswith("_"):
            close = difflib.get_close_matches(str(key), known, n=1)
            raise ConfigError(
                f"trainer.{key}",
                expected="an argument of lightning.Trainer",
                found="none of this name",
                remedy=f"did you mean trainer.{close[0]}" if close else "correct or remove it",
            )


def _refuse_wrong_way(mode: str, monitor: str) -> None:
    """Refuse a plateau schedule whose mode contradicts the monitored value."""
    better = "max" if monitor in _SCORES else "min"
    if mode != better:
        raise ConfigError(
            "scheduler.mode",
            expected=f"{better} for protocol.monitor={monitor}",
            found=mode,
            remedy=f"set scheduler.mode={better}",
        )


def _refuse_dead_arguments(config: Config) -> None:
    """Refuse Trainer arguments that have no effect here."""
    for key, (unset, why, remedy) in _NOT_HERE.items():
        value = config.trainer.get(key)
        if value not in unset:
            raise ConfigError(f"trainer.{key}", expected=f"none: {why}", found=str(value), remedy=remedy)


def _tried(key: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except REFUSALS as error:
        raise _misfit(key, error) from error


def _misfit(key: str, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split()).rstrip(".")[:300]
    return ConfigError(key, expected="valid arguments", found=reason, remedy=f"correct {key}.*")
