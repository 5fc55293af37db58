"""Time and GPU memory of a training step."""

import time
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer

_GIB = 2**30


@final
class StepCost(Callback):
    """Log ``seconds_per_step`` and, on a GPU, ``gpu_memory_gib`` once per epoch.

    The seconds are the mean over the steps of an epoch, including waiting for data; the memory is the maximum that
    torch allocated during the epoch, including validation. With several processes these are the mean seconds and the
    largest memory.
    """

    def __init__(self) -> None:
        self._start_s = self._end_s = 0.0
        self._steps = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock at the first step of the epoch."""
        if batch_idx == 0:
            self._start_s, self._steps = time.monotonic(), 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop the clock."""
        self._steps += 1
        self._end_s = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the cost of a step of the epoch."""
        seconds = (self._end_s - self._start_s) / max(self._steps, 1)
        pl_module.log("seconds_per_step", seconds, sync_dist=True)
        if pl_module.device.type == "cuda":
            most = torch.cuda.max_memory_allocated(pl_module.device) / _GIB
            pl_module.log("gpu_memory_gib", most, reduce_fx="max", sync_dist=True)
            torch.cuda.reset_peak_memory_stats(pl_module.device)
