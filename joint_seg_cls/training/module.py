"""The LightningModule: one joint network, one multi-task loss, one optimiser (Huang et al. 2024 [1], section 4.1).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from collections.abc import Callable
from typing import Any, final

import torch
from lightning import LightningModule
from torch import Tensor, distributed, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.training.checkpoint import RECIPE
from joint_seg_cls.training.validation import ValidationScans

Scheduler = LRScheduler | ReduceLROnPlateau


@final
class JointModule(LightningModule):
    """Train ``network`` on ``loss`` and watch both tasks on whole validation scans.

    Logged by epoch: ``train/loss/{segmentation,classification,cross_task,total}``, ``lr``, and with a validation split
    the same losses under ``val/``, ``val/dice`` (mean over scans whose reference is not empty, model space),
    ``val/auc``, ``val/acc`` and ``val/score``, the mean of ``val/dice`` and ``val/auc`` (of the one there is, for a
    single task): the declared composite by which the best checkpoint is chosen.

    Args:
        network: returns a :class:`~joint_seg_cls.batch.Prediction` for an image.
        loss: returns the named terms and ``total`` for a prediction and its batch.
        optimizer: makes the optimiser from the parameters.
        scheduler: makes the learning-rate schedule from the optimiser; None keeps the rate. Stepped once an epoch.
        monitor: the logged value that a plateau schedule watches.
        recipe: what a checkpoint must tell to be used without this run (plain values; see :mod:`.checkpoint`).
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        scheduler: Callable[[Optimizer], Scheduler] | None,
        monitor: str,
        recipe: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.recipe = recipe
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self._monitor = monitor
        self._schedule: Scheduler | None = None
        self._schedule_state: dict[str, Any] | None = None
        self._validated = ValidationScans()
        self._validated_epoch: int | None = None

    def forward(self, image: Tensor) -> Prediction:
        """Return what the network says of ``image`` (b, c, x, y, z)."""
        return self.network(image)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the joint loss of one batch; what is logged of a term is its mean over the epoch's labelled scans.

        ``total`` is the mean over all scans of what the batches' totals were; a term whose label no scan of the epoch
        has is not logged.
        """
        terms = self.loss(self.network(batch.image), batch)
        scans = _labelled_scans(batch)
        for name, value in terms.items():
            if scans.get(name, 1) == 0:
                continue
            self.log(
                f"train/loss/{name}",
                value.detach(),
                batch_size=scans.get(name, len(batch.case)),
                on_step=False,
                on_epoch=True,
                prog_bar=name in ("segmentation", "classification"),
                sync_dist=True,
            )
        return terms["total"]

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Keep what the epoch's losses and metrics need, scan by scan."""
        prediction: Prediction = self.network(batch.image)
        self._validated.add(prediction, batch, self.loss, lesion_threshold=self.recipe["lesion_threshold"])

    def on_validation_epoch_end(self) -> None:
        """Log losses and metrics of both tasks over all validation scans of all processes."""
        scans, self._validated = self._validated.of_all_processes(), ValidationScans()
        if not self.trainer.sanity_checking:
            self._validated_epoch = self.current_epoch
        for name, value in scans.numbers().items():
            self.log(f"val/{name}", value, prog_bar=name in ("dice", "auc"), sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """Log the learning rate that this epoch used, then step the schedule.

        The schedule is stepped here and not by Lightning, which steps plateau schedules after the epoch's checkpoint is
        written: a resumed run would then have missed a step and differ from an uninterrupted one.
        """
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        self.log("lr", optimizer.param_groups[0]["lr"], sync_dist=True)
        if isinstance(self._schedule, ReduceLROnPlateau):
            if self._monitor.startswith("val/") and self._validated_epoch != self.current_epoch:
                return  # what is logged is of an earlier epoch
            watched = self.trainer.callback_metrics.get(self._monitor)
            if watched is None:
                raise ConfigError(
                    f"protocol.monitor={self._monitor}",
                    expected="a value that each epoch logs",
                    found=", ".join(sorted(self.trainer.callback_metrics)),
                    remedy="watch one of these",
                )
            if bool(torch.isfinite(watched)):
                self._schedule.step(float(watched))
        elif self._schedule is not None:
            self._schedule.step()

    def configure_optimizers(self) -> Optimizer:
        """Make the optimiser and, for :meth:`on_train_epoch_end`, its schedule."""
        optimizer = self._make_optimizer(self.parameters())
        self._schedule = None if self._make_scheduler is None else self._make_scheduler(optimizer)
        if self._schedule is not None and self._schedule_state is not None:
            self._schedule.load_state_dict(self._schedule_state)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the recipe and the schedule's state, plain values only."""
        checkpoint[RECIPE] = self.recipe
        checkpoint["schedule"] = None if self._schedule is None else dict(self._schedule.state_dict())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the schedule's state up again."""
        self._schedule_state = checkpoint.get("schedule")


def _labelled_scans(batch: Batch) -> dict[str, int]:
    """Return how many scans of the batch each term of the loss is a mean over, of all processes that train together."""
    labels = {"segmentation": batch.has_lesion_mask, "classification": batch.has_disease}
    counts = torch.stack([label.sum() for label in labels.values()])
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(counts)
    return dict(zip(labels, counts.tolist(), strict=True))
