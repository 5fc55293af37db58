"""The LightningModule: one joint network, one multi-task loss, one optimiser (Huang et al. 2024 [1], section 4.1).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

import math
from collections.abc import Callable
from typing import Any, final

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.metrics import task_metrics
from joint_seg_cls.training import finite
from joint_seg_cls.training.recipe import RECIPE
from joint_seg_cls.training.schedule import Schedule, Scheduler, steps_of
from joint_seg_cls.training.split_metrics import SplitMetrics


@final
class JointModule(LightningModule):
    """Train ``network`` on ``loss`` and validate both tasks on whole scans.

    Logged per epoch: ``train/loss/{segmentation,classification,cross_task,total}``, ``lr`` (of the epoch's first step),
    and with a validation split the same losses under ``val/``, ``val/dice`` (mean over scans with a non-empty
    reference, model space), ``val/auc``, ``val/acc`` and ``val/score``, which selects the best checkpoint: the mean of
    ``val/dice`` and ``val/auc``, or the one that is defined. Undefined numbers are not logged. ``Trainer.test`` logs
    the same under ``test/``.

    A non-finite loss, weight or validation output stops the training with a ``TrainingError`` that names the scans. A
    step that a gradient scaler (``16-mixed``) skips because of infinite gradients is not an error.

    Args:
        network: returns a :class:`~joint_seg_cls.batch.Prediction` for an image.
        loss: returns the named terms and ``total`` for a prediction and its batch.
        optimizer: makes the optimiser from the parameters.
        scheduler: the learning-rate schedule, or a function that makes one from the optimiser (stepped once per epoch);
            None for a constant rate.
        monitor: the logged value that a plateau schedule monitors.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        scheduler: Schedule | Callable[[Optimizer], Scheduler] | None,
        monitor: str,
        recipe: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.recipe = recipe
        self._make_optimizer = optimizer
        self._plan = Schedule(scheduler) if callable(scheduler) else scheduler
        self._monitor = monitor
        self._schedule: Scheduler | None = None
        self._schedule_state: dict[str, Any] | None = None
        metrics = task_metrics(lesion_threshold=recipe["lesion_threshold"], classes=len(recipe["classes"]))
        self._validated = SplitMetrics(metrics, "val/")
        self._tested = SplitMetrics(metrics, "test/")
        self._terms: set[str] = set()
        self._step = 0
        self._cases_of_step: list[str] = []
        self._has_broken_weights: Tensor | None = None

    def forward(self, image: Tensor) -> Prediction:
        """Return the network's prediction for ``image`` (b, c, x, y, z)."""
        return self.network(image)

    def on_train_start(self) -> None:
        """Restore the step count of an interrupted run."""
        self._step = self.trainer.global_step

    def on_train_epoch_start(self) -> None:
        """Clear the numbers of the last epoch and log the learning rate."""
        self.trainer.callback_metrics.clear()
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the joint loss of a batch and log each term as its mean over the labelled scans of the epoch.

        ``total`` is the mean over scans with a label for a task of the network. A term without labelled scans is not
        logged.

        Raises:
            TrainingError: the loss, or a weight since the last step, is not finite.
        """
        prediction = self.network(batch.image)
        terms = self.loss(prediction, batch)
        self._terms |= terms.keys()
        scans = self._counted(prediction, terms, batch)
        for name, value in terms.items():
            if scans.get(name, 1) == 0:
                continue
            self.log(
                f"train/loss/{name}",
                value.detach(),
                batch_size=len(batch.case) if name == "total" else scans.get(name, len(batch.case)),
                on_step=False,
                on_epoch=True,
                prog_bar=name in ("segmentation", "classification"),
                sync_dist=True,
            )
        self._cases_of_step += batch.case
        return terms["total"]

    def _counted(self, prediction: Prediction, terms: dict[str, Tensor], batch: Batch) -> dict[str, int]:
        """Return the number of labelled scans of each term in all processes; for ``total`` those with a relevant label.

        The same reduction checks for non-finite values, so that a step synchronises with the GPU once.
        """
        masks, diseases = batch.has_lesion_mask.sum(), batch.has_disease.sum()
        is_broken = ~terms["total"].detach().isfinite()
        weights = self._has_broken_weights
        counts = torch.stack(
            [masks, diseases, is_broken.to(masks), (torch.zeros_like(masks) if weights is None else weights.to(masks))]
        )
        known_masks, known_diseases, losses, broken = finite.summed(counts)
        if broken:
            raise finite.broken_weights(self.current_epoch, self._cases_of_step)
        self._clear_step()
        if losses:
            found = ", ".join(f"{name} {float(value.detach()):g}" for name, value in terms.items())
            cases = batch.case if bool(is_broken) else []
            raise finite.stop(self.current_epoch, cases, expected="a finite loss", found=found)
        segmented, classified = prediction.lesion_logits is not None, prediction.disease_logits is not None
        return {
            "segmentation": known_masks,
            "classification": known_diseases,
            "total": segmented * known_masks + classified * known_diseases,
        }

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """After an optimiser step, check the weights and step a schedule whose interval is the step."""
        if self.trainer.global_step == self._step:
            return  # gradients are accumulated
        self._step = self.trainer.global_step
        self._has_broken_weights = finite.has_broken_weights(self)
        if self._plan is not None and self._plan.is_due("step", self._step):
            self._step_schedule()

    def on_validation_epoch_start(self) -> None:
        """Clear the numbers of the last validation."""
        self._refuse_broken_weights()
        metrics = self.trainer.callback_metrics
        for name in [name for name in metrics if name.startswith("val/")]:
            del metrics[name]

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Prediction]:
        """Add the batch to the losses and metrics of the epoch; return ``prediction``, for callbacks."""
        prediction = self.network(batch.image)
        self._validated.update(prediction, batch, self.loss)
        return {"prediction": prediction}

    def on_validation_epoch_end(self) -> None:
        """Log losses and metrics of both tasks over all validation scans of all processes.

        Raises:
            TrainingError: the network's output, or the loss, is not finite for a scan.
        """
        self._log_split(self._validated, "validation")

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Add the batch to the losses and metrics of the test (``Trainer.test``), in model space."""
        self._tested.update(self.network(batch.image), batch, self.loss)

    def on_test_epoch_end(self) -> None:
        """Log losses and metrics under ``test/``; errors are those of the validation."""
        self._log_split(self._tested, "test")

    def _log_split(self, split: SplitMetrics, name: str) -> None:
        broken = split.broken
        if sum(finite.summed(torch.tensor([len(broken)], device=self.device))):
            expected, found = f"finite outputs and losses in the {name}", "NaN or infinity"
            raise finite.stop(self.current_epoch, broken, expected=expected, found=found)
        for key, value in split.compute().items():
            self.log(key, value, prog_bar=key in ("val/dice", "val/auc"), sync_dist=True)
        split.reset()

    def on_train_epoch_end(self) -> None:
        """Step a schedule whose interval is the epoch.

        Lightning would step plateau schedules after the checkpoint of the epoch is written; a resumed run would then
        miss a step.
        """
        self._refuse_broken_weights()
        self._clear_step()
        if self._plan is not None and self._plan.is_due("epoch", self.current_epoch + 1):
            self._step_schedule()

    def _step_schedule(self) -> None:
        if self._schedule is None or self.trainer.lr_scheduler_configs:
            return  # none, or replaced by a callback (stochastic weight averaging)
        if not isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step()
        elif (watched := self._watched()) is not None:
            self._schedule.step(watched)

    def _watched(self) -> float | None:
        """Return the number that a plateau schedule monitors; None if the epoch does not define it."""
        watched = self.trainer.callback_metrics.get(self._monitor)
        losses = {f"{part}/loss/{term}" for part in ("train", "val") for term in self._terms}
        known = losses | self._validated.names | self.trainer.callback_metrics.keys()
        if self._monitor not in known:
            raise ConfigError(
                f"protocol.monitor={self._monitor}",
                expected="a value that an epoch logs",
                found=f"none of {', '.join(sorted(known))}",
                remedy="monitor one of these",
            )
        return None if watched is None or not math.isfinite(watched) else float(watched)

    def _refuse_broken_weights(self) -> None:
        """Raise an error for weights that are not finite."""
        if self._has_broken_weights is not None and sum(finite.summed(self._has_broken_weights.long().reshape(1))):
            raise finite.broken_weights(self.current_epoch, self._cases_of_step)

    def _clear_step(self) -> None:
        """Clear the scans of the last optimiser step after its weights were found finite."""
        if self._has_broken_weights is not None:
            self._cases_of_step, self._has_broken_weights = [], None

    def configure_optimizers(self) -> Optimizer:
        """Make the optimiser and its schedule, which this module steps."""
        optimizer = self._make_optimizer(self.parameters())
        plan, trainer = self._plan, self.trainer
        self._schedule = None if plan is None else plan.start(optimizer, lambda interval: steps_of(trainer, interval))
        if self._schedule is not None and self._schedule_state is not None:
            self._schedule.load_state_dict(self._schedule_state)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the recipe, the schedule's state and ``should_stop`` as plain values."""
        checkpoint[RECIPE] = self.recipe
        checkpoint["schedule"] = None if self._schedule is None else dict(self._schedule.state_dict())
        checkpoint["should_stop"] = self.trainer.should_stop

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the schedule's state and ``should_stop``."""
        self._schedule_state = checkpoint.get("schedule")
        self.trainer.should_stop = self.trainer.should_stop or checkpoint.get("should_stop", False)
