"""Settings of a training that are used late are tried early: before data are read, and before a run begins."""

import difflib
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

from joint_seg_cls.config.build import REFUSALS, build, target_of
from joint_seg_cls.config.keys import flag
from joint_seg_cls.config.names import LONGEST_NAME, is_name
from joint_seg_cls.config.schedule import interval_of, schedule_of
from joint_seg_cls.config.tree import Config, get, plain
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs.combinations import GROUPS, without_option
from joint_seg_cls.training import refuse_misuse

#: Keys whose values are whole numbers, with the least and the most that they may be.
_WHOLE = {
    "seed": (0, 2**32 - 1),
    "trainer.max_epochs": (1, None),
    "data.batch_size": (1, None),
    "data.workers": (0, 1024),
    "data.folds.count": (0, None),  # the cases decide: data.Folds says how many there may be
    "data.folds.seed": (0, None),
    "network.channels": (1, None),
}
#: Keys whose values are numbers between two others, those themselves left out.
_BETWEEN = {
    "lesion_threshold": (0, 1),
    "data.validation_fraction": (-math.inf, math.inf),  # likewise
    "loss.segmentation_weight": (-1e-9, math.inf),
    "loss.classification_weight": (-1e-9, math.inf),
    "loss.cross_task_weight": (-1e-9, math.inf),
}


#: Keys that may be null; the others above need a number.
_MAY_BE_NULL = ("data.workers", "trainer.max_epochs")
#: What the schedule may watch: a loss (its terms are the loss's own), or a score of the inner validation split.
_MONITOR = re.compile(r"(?:train|val)/loss/\w+|val/(?:dice|auc|acc|score)")
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
#: Parts of the configuration whose keys are all known; the others are arguments of what they build.
_CLOSED = ("", "protocol", "width")
#: The tables of the paper that a study may fill.
_TABLES = range(3, 10)
#: Keys whose values name a file or a folder.
_NAMES = ("study", "collection")


def refuse_wrong_values(config: Config) -> None:
    """Refuse values of another kind than their keys ask for, or out of range.

    Raises:
        ConfigError: there is one.
    """
    _refuse_wrong_names(config)
    _refuse_wrong_protocol(config)
    _refuse_null(config, [key for key in (*_WHOLE, *_BETWEEN) if key not in _MAY_BE_NULL])
    for key, (least, most) in _WHOLE.items():
        value = get(config, key)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_whole and least <= value <= (math.inf if most is None else most)):
            expected = f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"
            raise ConfigError(key, expected=expected, found=repr(value), remedy=f"correct {key}=")
    for key, (low, high) in _BETWEEN.items():
        value = get(config, key)
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if value is not None and not (is_number and low < value < high):
            above = "a number" if low == -math.inf else f"a number above {low:g}" if low >= 0 else "a number, 0 or more"
            expected = above if high == math.inf else f"{above} and below {high:g}"
            raise ConfigError(key, expected=expected, found=repr(value), remedy=f"correct {key}=")


def refuse_unknown_keys(config: Config, known: Config, choices: Mapping[str, str | None]) -> None:
    """Refuse keys of a user's own files that nothing reads: Hydra refuses them on the command line alone.

    Keys that begin with an underscore are the user's, for interpolation.

    Args:
        config: as composed.
        known: the default configuration.
        choices: the option of each group.

    Raises:
        ConfigError: there is one, or a whole group was taken away.
    """
    for group in GROUPS:
        if get(config, group) is None:
            raise without_option(group)
    for part in _CLOSED:
        there, own = (get(each, part) if part else each for each in (known, config))
        unknown = [str(key) for key in own if key not in there and not str(key).startswith("_")]
        for key in unknown:
            if not part and choices.get(key) is not None:
                raise ConfigError(
                    f"{key}/{choices[key]}.yaml",
                    expected="# @package _global_ as its first line, for what it sets to count",
                    found="another, or none",
                    remedy="add that line",
                )
            whole = f"{part}.{key}".lstrip(".")
            close = difflib.get_close_matches(key, [str(each) for each in there], n=1)
            raise ConfigError(
                whole,
                expected="a key that a training reads",
                found="none of this name",
                remedy=f"did you mean {f'{part}.{close[0]}'.lstrip('.')}" if close else "correct or remove it",
            )


def _refuse_wrong_names(config: Config) -> None:
    """Refuse what cannot name a run's folder or its study."""
    for key in _NAMES:
        value = get(config, key)
        if value is not None and not is_name(str(value)):
            raise ConfigError(
                key,
                expected=f"a name of at most {LONGEST_NAME} bytes without slashes, not beginning with . , - or +",
                found=repr(value),
                remedy=f"choose another {key}=",
            )
    _refuse_null(config, ["collection", "seed", "fold"])
    fold = config.get("fold", 0)
    if isinstance(fold, bool) or not isinstance(fold, int | str):
        raise ConfigError("fold", expected="the number of a fold or its name", found=repr(fold), remedy="correct fold=")
    tables = plain(config.get("tables", []))
    if not isinstance(tables, list) or any(_number_of(table) not in _TABLES for table in tables):
        raise ConfigError(
            "tables", expected="a list of the paper's tables, 3 to 9", found=str(tables), remedy="write tables=[7]"
        )
    flag(config, "evaluate")


def _number_of(table: object) -> int | None:
    found = re.fullmatch(r"(?:table)?\s*(\d+)", str(table))
    return int(found[1]) if found else None


def _refuse_null(config: Config, keys: Iterable[str]) -> None:
    for key in keys:
        parent, _, name = key.rpartition(".")
        within = get(config, parent) if parent else config
        if isinstance(within, Mapping) and name in within and within[name] is None:
            raise ConfigError(key, expected="a value", found="null", remedy=f"give {key}=, or leave it as it is")


def _refuse_wrong_protocol(config: Config) -> None:
    if "protocol" not in config:
        return
    weights, monitor = config.protocol.get("weights"), config.protocol.get("monitor")
    if weights not in ("best", "last"):
        raise ConfigError(
            "protocol.weights", expected="best or last", found=repr(weights), remedy="correct protocol.weights="
        )
    if not _MONITOR.fullmatch(str(monitor)):
        raise ConfigError(
            "protocol.monitor",
            expected="train/loss/total, val/loss/total or another loss, val/dice, val/auc, val/acc or val/score",
            found=repr(monitor),
            remedy="correct protocol.monitor=",
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
