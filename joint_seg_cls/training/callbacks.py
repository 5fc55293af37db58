"""Callbacks of every training: random seeds per epoch, the table of epochs, and the progress display."""

import csv
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.data.draws import random_state
from joint_seg_cls.scan.cells import cell

_log = logging.getLogger(__name__)
_LOG_EVERY_S = 60.0
#: Displayed numbers of the last finished epoch.
_SHOWN = {"seg": "train/loss/segmentation", "cls": "train/loss/classification", "DSC": "val/dice", "AUC": "val/auc"}


@final
class EpochSeed(Callback):
    """Make the randomness of a network (dropout) a function of (seed, epoch, process), also in a resumed run."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the epoch."""
        seed_network(self._seed, trainer.current_epoch, trainer.global_rank)


def seed_network(seed: int, epoch: int, rank: int) -> None:
    """Seed an epoch in one of several processes, on the CPU and on all GPUs."""
    torch.manual_seed(int(random_state("network", seed, epoch, rank).randint(2**31)))


@final
class EpochTable(Callback):
    """Write ``metrics.csv`` after every epoch: one row per epoch with all logged numbers.

    Undefined and non-finite numbers are empty cells. The rows are also stored in the checkpoint, from which a resumed
    run restores them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        self._start_s = 0.0
        self._first_step = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the rows."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of finished epochs."""
        self._rows = list(state_dict["rows"])

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Write the table of a finished training from its last checkpoint."""
        if (state := checkpoint["callbacks"].get(self.state_key)) is not None:
            self.load_state_dict(state)
            self._write()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rows of a resumed run, even if no epoch is left."""
        if self._rows and trainer.is_global_zero:
            self._write()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._start_s, self._first_step = time.monotonic(), trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the row of the epoch, unless it had no step (batch statistics after weight averaging)."""
        if trainer.global_step == self._first_step:
            return
        numbers = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        row = {"epoch": str(trainer.current_epoch), "step": str(trainer.global_step)}
        row |= {"seconds": f"{time.monotonic() - self._start_s:.2f}", "lr": f"{numbers.pop('lr'):.6g}"}
        row |= {name: f"{value:.8g}" for name, value in numbers.items() if math.isfinite(value)}
        self._rows.append(row)
        if trainer.is_global_zero:
            self._write()

    def _write(self) -> None:
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        with atomic_file(self._path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writerow({name: cell(name) for name in names})
            writer.writerows(self._rows)


@final
class TrainingProgress(Callback):
    """Show epoch, losses of both tasks and remaining time: a bar on a terminal, otherwise a log line per minute."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._start_s = self._logged_s = 0.0
        self._first_step = 0
        self._numbers: dict[str, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar or the clock."""
        self._start_s = self._logged_s = time.monotonic()
        self._first_step = trainer.global_step
        if not trainer.is_global_zero:
            return
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))
            self._bar.start()
            self._bar.add_task("train", total=_total_steps(trainer), completed=trainer.global_step)
        else:
            _log.info(
                "training: epoch %d of %s",
                trainer.current_epoch + 1,
                _epochs(trainer) or "as many as trainer.max_time allows",
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance by a step."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=trainer.global_step, description=self._state(trainer))
        elif trainer.is_global_zero and time.monotonic() - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = time.monotonic()
            _log.info("%s%s", self._state(trainer), self._left(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the numbers of this epoch for display."""
        self._numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last numbers."""
        self._close()
        if trainer.is_global_zero:
            _log.info("trained: %s, %.1f min", self._state(trainer), (time.monotonic() - self._start_s) / 60)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop the bar."""
        self._close()

    def _state(self, trainer: Trainer) -> str:
        values = " ".join(
            f"{label} {self._numbers[name]:.3f}" for label, name in _SHOWN.items() if name in self._numbers
        )
        epochs, epoch = _epochs(trainer), trainer.current_epoch + 1
        return f"epoch {epoch if epochs is None else f'{min(epoch, epochs)}/{epochs}'} {values}".strip()

    def _left(self, trainer: Trainer) -> str:
        total = _total_steps(trainer)
        if total is None:
            return ""
        done = max(1, trainer.global_step - self._first_step)
        left_s = (self._logged_s - self._start_s) / done * (total - trainer.global_step)
        return f", {left_s / 60:.0f} min left"

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _total_steps(trainer: Trainer) -> int | None:
    """Return the number of steps; None if only the time is limited."""
    steps = trainer.estimated_stepping_batches
    return None if math.isinf(steps) else int(steps)


def _epochs(trainer: Trainer) -> int | None:
    """Return the number of epochs; None if only the time is limited."""
    return trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
