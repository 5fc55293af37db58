"""Learning-rate schedules: their interval, and the number of steps of a training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, final

from lightning import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LinearLR, LRScheduler, OneCycleLR, ReduceLROnPlateau, SequentialLR

from joint_seg_cls.errors import ConfigError

Scheduler = LRScheduler | ReduceLROnPlateau
Interval = Literal["epoch", "step"]
#: Schedules that torch documents as stepped after every batch.
_OF_STEPS = (OneCycleLR, CyclicLR)


@final
@dataclass(frozen=True)
class Schedule:
    """A schedule and its interval.

    Args:
        make: makes the schedule from the optimiser. In a ``partial``, ``total_steps=None`` is replaced by the number of
            optimiser steps (or epochs) of the training.
        interval: stepped after each ``epoch``, or after each optimiser ``step``.
        frequency: stepped after this number of epochs or steps.
    """

    make: Callable[[Optimizer], Scheduler]
    interval: Interval = "epoch"
    frequency: int = 1

    @classmethod
    def of(cls, settings: Mapping[str, Any], build: Callable[[Mapping[str, Any]], Any]) -> "Schedule":
        """Return the schedule of a configuration: a class, its arguments, ``interval`` and ``frequency``."""
        when = {key: settings[key] for key in ("interval", "frequency") if key in settings}
        return cls(build({key: value for key, value in settings.items() if key not in when}), **when)

    def start(self, optimizer: Optimizer, steps: Callable[[Interval], int]) -> Scheduler:
        """Make the schedule.

        Args:
            steps: returns the number of epochs or optimiser steps of the training.
        """
        make = self.make
        if isinstance(make, partial) and make.keywords.get("total_steps", 0) is None and "epochs" not in make.keywords:
            make = partial(make, total_steps=max(1, steps(self.interval) // self.frequency))
        return make(optimizer)

    def is_due(self, interval: Interval, done: int) -> bool:
        """Return whether the schedule is stepped after ``done`` epochs or optimiser steps."""
        return interval == self.interval and done % self.frequency == 0


def warmed_up(
    optimizer: Optimizer, *, total_iters: int, start_factor: float, then: Callable[[Optimizer], LRScheduler]
) -> SequentialLR:
    """Return a schedule with a linear warm-up to the optimiser's rate, followed by another schedule.

    Args:
        total_iters: length of the warm-up, in epochs or optimiser steps.
        start_factor: initial rate, relative to the optimiser's.
        then: makes the following schedule.
    """
    rise = LinearLR(optimizer, start_factor=start_factor, total_iters=total_iters)
    return SequentialLR(optimizer, [rise, then(optimizer)], milestones=[total_iters])


def steps_of(trainer: Trainer, interval: Interval) -> int:
    """Return the number of epochs or optimiser steps of a training, without reading data.

    Raises:
        ConfigError: only the time is limited.
    """
    epochs = trainer.max_epochs
    if epochs is None or epochs < 0:
        raise ConfigError(
            "scheduler.total_steps",
            expected="a value for trainer.max_epochs",
            found="a training limited only by time",
            remedy="set trainer.max_epochs=200, or choose scheduler=constant",
        )
    if interval == "epoch":
        return epochs
    batches = len(trainer.datamodule.train_dataloader())  # pyright: ignore[reportAttributeAccessIssue]
    limit = trainer.limit_train_batches
    batches = int(batches * limit) if isinstance(limit, float) else min(batches, limit)
    return epochs * math.ceil(batches / trainer.accumulate_grad_batches)


def refuse_misuse(schedule: Scheduler, interval: Interval | None) -> None:
    """Refuse a schedule with an unsuitable interval.

    Raises:
        ConfigError: the schedule would not be stepped as intended.
    """
    name = type(schedule).__name__
    if isinstance(schedule, ReduceLROnPlateau) and interval == "step":
        raise ConfigError(
            "scheduler.interval",
            expected=f"epoch for {name}, which monitors a number of the epoch",
            found="step",
            remedy="omit scheduler.interval, or choose another schedule",
        )
    if isinstance(schedule, _OF_STEPS) and interval is None:
        raise ConfigError(
            "scheduler.interval",
            expected=f"step or epoch for {name}, which torch recommends to step after every optimiser step",
            found="neither",
            remedy="add +scheduler.interval=step",
        )
