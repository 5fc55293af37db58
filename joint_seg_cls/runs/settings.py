"""Settings of a training that are used late are tried early: before data are read, and before a run begins."""

import difflib
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from joint_seg_cls.config.build import REFUSALS, build, target_of
from joint_seg_cls.config.schedule import interval_of, schedule_of
from joint_seg_cls.config.schema import CLOSED, KEYS, keys_of, nearest
from joint_seg_cls.config.tree import Config, get, plain
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs.combinations import GROUPS, without_option
from joint_seg_cls.training import refuse_misuse

_SCORES = ("val/dice", "val/auc", "val/acc", "val/score")
#: Arguments of the Trainer that are refused: values that leave them off, why, and what to use instead.
_NOT_HERE = {
    "max_steps": (
        (None, -1),
        "an interrupted run could not go on with the numbers of an uninterrupted one",
        "use trainer.max_epochs, with trainer.limit_train_batches for the steps of an epoch",
    ),
    "fast_dev_run": (
        (None, False, 0),
        "it writes no checkpoint to test",
        "use trainer.max_epochs=1 trainer.limit_train_batches=1",
    ),
    "logger": ((None, False), "the run is told to what tracking= names", "use tracking="),
}
#: Steps of a schedule that is only tried: how many a training has is known once its data are.
_TRIED_STEPS = 1000


def refuse_wrong_values(config: Config) -> None:
    """Refuse values of another kind than the schema gives, for the keys that it checks.

    Raises:
        ConfigError: there is one.
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


def refuse_unknown_keys(config: Config, choices: Mapping[str, str | None]) -> None:
    """Refuse keys of a user's own files that nothing reads: Hydra refuses them on the command line alone.

    Keys that begin with an underscore are the user's, for interpolation.

    Args:
        config: as composed.
        choices: the option of each group.

    Raises:
        ConfigError: there is one, or a whole group was taken away.
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
                    expected="# @package _global_ as its first line, for what it sets to count",
                    found="another, or none",
                    remedy="add that line",
                )
            raise unknown_key(f"{part}.{key}".lstrip("."))


def unknown_key(name: str) -> ConfigError:
    """Return the refusal of a key that nothing reads, with the key that is spelt most like it."""
    close = nearest(name)
    return ConfigError(
        name,
        expected="a key that a training reads",
        found="none of this name",
        remedy=f"did you mean {close}" if close else "correct or remove it",
    )


def refuse_wrong_parts(config: Config) -> None:
    """Refuse an optimiser, a schedule or a Trainer whose arguments are not theirs; each is tried on one weight.

    Raises:
        ConfigError: there is one.
    """
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = _tried("optimizer", lambda: build(config.optimizer)([weight]))
    schedule = _tried("scheduler", lambda: schedule_of(config).start(optimizer, lambda _: _TRIED_STEPS))
    refuse_misuse(schedule, interval_of(config))
    is_plateau = isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau)
    with warnings.catch_warnings(action="ignore"):  # that no optimiser stepped before
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
    """Refuse a plateau schedule that would lower the rate while what it watches gets better."""
    better = "max" if monitor in _SCORES else "min"
    if mode != better:
        raise ConfigError(
            "scheduler.mode",
            expected=f"{better}, as protocol.monitor={monitor} asks for",
            found=mode,
            remedy=f"set scheduler.mode={better}",
        )


def _refuse_dead_arguments(config: Config) -> None:
    """Refuse arguments of the Trainer that could not do here what they say."""
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
    return ConfigError(key, expected="arguments that it takes", found=reason, remedy=f"correct {key}.*")
