"""Checks of a training's options and of the arguments of its parts, before any data is read."""

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from joint_seg_cls.config.build import (
    REFUSALS,
    Config,
    as_written,
    build,
    flatten,
    get,
    plain,
    target_of,
)
from joint_seg_cls.config.compose import VARIANT, options_chosen
from joint_seg_cls.config.options import JOINT
from joint_seg_cls.config.schema import KEYS
from joint_seg_cls.errors import ConfigError, reason_of
from joint_seg_cls.runs.data_checks import refuse_missing_validation
from joint_seg_cls.training import Schedule, refuse_misuse

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


def refuse_misfits(
    config: Config, choices: Mapping[str, str | None], overrides: Sequence[str], meta_network: Callable[[], Any]
) -> None:
    """Refuse options that cannot be combined.

    Args:
        meta_network: builds the network on the meta device, without allocating its weights.

    Raises:
        ConfigError: or another input error raised by a part.
    """
    _refuse_two_variants(choices, overrides)
    _refuse_ablated_baseline(choices)
    refuse_missing_validation(config, choices)
    from joint_seg_cls.networks import declared_tasks

    _refuse_cross_task_of_one(declared_tasks(meta_network()), choices, overrides)
    build(plain(config.loss))


def _refuse_two_variants(choices: Mapping[str, str | None], overrides: Sequence[str]) -> None:
    """Refuse a variant combined with an ablation or network, since one of them would be ignored."""
    chosen = options_chosen(overrides, [*choices, "ablation", "network"])  # `choices` has one option per group
    for group in (VARIANT, "ablation", "network"):
        if len(options := chosen.get(group, [])) > 1:
            raise ConfigError(
                f"{group}=[{','.join(options)}]",
                expected="one option per training",
                found=str(len(options)),
                remedy=f"sweep over them: jsc train -m {group}={','.join(options)}",
            )
    variants = [option for option in chosen.get(VARIANT, []) if option != "null"]
    for group in ("ablation", "network"):
        if variants and group in chosen:
            other = f"{group}={','.join(chosen[group])}"
            raise ConfigError(
                f"variant={','.join(variants)}",
                expected="no ablation or network beside it, since a variant selects both",
                found=other,
                remedy=f"drop {other}, or set the variant alone (a study experiment sweeps over variant)",
            )


def _refuse_ablated_baseline(choices: Mapping[str, str | None]) -> None:
    network, ablation = choices.get("network"), choices.get("ablation")
    if network != JOINT and ablation == "no_cross":
        raise ConfigError(
            f"network={network}",
            expected=f"no ablation, since all ablations modify network={JOINT}",
            found=f"ablation={ablation}",
            remedy=f"drop ablation={ablation} or network={network}",
        )


def _refuse_cross_task_of_one(
    tasks: frozenset[str] | None, choices: Mapping[str, str | None], overrides: Sequence[str]
) -> None:
    """Refuse a cross-task loss for a network with one task, or without location maps.

    A baseline that was not explicitly combined with the loss has a term of 0.
    """
    chosen, is_joint = choices.get("loss/cross_task"), choices.get("network") == JOINT
    is_asked = is_joint or any(word.startswith("loss/cross_task=") for word in overrides)
    if chosen in (None, "none") or tasks is None or len(tasks) > 1 or not is_asked:
        return
    what = f"ablation={choices.get('ablation')}" if is_joint else f"network={choices.get('network')}"
    raise ConfigError(
        f"loss/cross_task={chosen}",
        expected="a network with a lesion map and location maps, which it compares",
        found=f"{what}, which learns only {' '.join(tasks)}",
        remedy=f"drop loss/cross_task={chosen} or {what}",
    )


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
    """Yield a value, or what a list contains at any depth."""
    if not isinstance(value, list):
        yield value
        return
    for each in value:
        yield from (found for _, inner in flatten(each) for found in _numbers(inner))


def refuse_wrong_parts(config: Config) -> None:
    """Check the arguments of optimiser, schedule and Trainer by building them for one weight.

    Raises:
        ConfigError: an argument is invalid.
    """
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = _tried("optimizer", lambda: build(config.optimizer)([weight]))
    schedule = _tried(
        "scheduler", lambda: Schedule.of(plain(config.scheduler), build).start(optimizer, lambda _: _TRIED_STEPS)
    )
    refuse_misuse(schedule, plain(config.scheduler).get("interval"))
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
                found="no argument of this name",
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
        found = reason_of(error, 300)
        raise ConfigError(key, expected="valid arguments", found=found, remedy=f"correct {key}.*") from error
