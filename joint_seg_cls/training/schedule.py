"""Learning-rate schedules: when they are stepped, and the number of steps of a training."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, final

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
    """A schedule and when it is stepped.

    Args:
        make: makes the schedule from the optimiser. In a ``partial`` whose ``total_steps`` is None, this is set to the
            number of optimiser steps (or epochs) of the training.
        interval: stepped after each ``epoch``, or after each optimiser ``step``.
        frequency: stepped after this number of epochs or steps.
    """

    make: Callable[[Optimizer], Scheduler]
    interval: Interval = "epoch"
    frequency: int = 1

    def start(self, optimizer: Optimizer, steps: Callable[[Interval], int]) -> Scheduler:
        """Make the schedule.

        Args:
            optimizer: the optimiser.
            steps: returns the number of epochs, or of optimiser steps, of the training.
        """
        make = self.make
        if isinstance(make, partial) and make.keywords.get("total_steps", 0) is None and "epochs" not in make.keywords:
            make = partial(make, total_steps=max(1, steps(self.interval) // self.frequency))
        return make(optimizer)

    def is_due(self, interval: Interval, done: int) -> bool:
        """Return whether the schedule is stepped now that ``done`` epochs or optimiser steps are finished."""
        return interval == self.interval and done % self.frequency == 0


def warmed_up(
    optimizer: Optimizer, *, total_iters: int, start_factor: float, then: Callable[[Optimizer], LRScheduler]
) -> SequentialLR:
    """Return a schedule that rises linearly to the optimiser's rate and then follows another one.

    Args:
        optimizer: the optimiser.
        total_iters: length of the rise, in epochs or optimiser steps.
        start_factor: of the rate, at the beginning.
        then: makes the schedule that follows.
    """
    rise = LinearLR(optimizer, start_factor=start_factor, total_iters=total_iters)
    return SequentialLR(optimizer, [rise, then(optimizer)], milestones=[total_iters])


def steps_of(trainer: Trainer, interval: Interval) -> int:
    """Return the number of epochs or optimiser steps of a training. No data are read.

    Raises:
        ConfigError: only its time is limited.
    """
    epochs = trainer.max_epochs
    if epochs is None or epochs < 0:
        raise ConfigError(
            "scheduler.total_steps",
            expected="trainer.max_epochs, from which it follows",
            found="a training that is limited by time only",
            remedy="set trainer.max_epochs=200, or choose scheduler=constant",
        )
    if interval == "epoch":
        return epochs
    batches = len(trainer.datamodule.train_dataloader())  # pyright: ignore[reportAttributeAccessIssue]
    limit = trainer.limit_train_batches
    batches = int(batches * limit) if isinstance(limit, float) else min(batches, limit)
    return epochs * math.ceil(batches / trainer.accumulate_grad_batches)


def refuse_misuse(schedule: Scheduler, interval: Interval | None) -> None:
    """Refuse a schedule with the wrong interval.

    Args:
        schedule: the schedule.
        interval: as configured; None if it is not.

    Raises:
        ConfigError: it would not be stepped as intended.
    """
    name = type(schedule).__name__
    if isinstance(schedule, ReduceLROnPlateau) and interval == "step":
        raise ConfigError(
            "scheduler.interval",
            expected=f"epoch for {name}, which monitors a number of the epoch",
            found="step",
            remedy="leave scheduler.interval out, or choose another schedule",
        )
    if isinstance(schedule, _OF_STEPS) and interval is None:
        raise ConfigError(
            "scheduler.interval",
            expected=f"step or epoch for {name}, which is meant to be stepped after every optimiser step",
            found="neither",
            remedy="add +scheduler.interval=step",
        )
