"""The end of a training: final changes by callbacks are stored, once, even if the run is interrupted."""

import logging
from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.utilities.apply_func import move_data_to_device
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.loops.fit_loop import _FitLoop
from torch import Tensor

from joint_seg_cls.errors import ConfigError, TrainingError
from joint_seg_cls.training.checkpoint import WholeCheckpointIO
from joint_seg_cls.training.finite import has_broken_weights
from joint_seg_cls.training.run_folder import RunFolder

_log = logging.getLogger(__name__)
_ENDED = "ended"


@final
class FitLoop(_FitLoop):
    """Lightning's epoch loop, which also calls ``on_train_end`` if a resumed run has no epoch left.

    Lightning returns early in this case and loses final changes by callbacks (weight averaging).
    """

    @property
    def skip(self) -> bool:
        """Whether there are no training batches."""
        return self.max_batches == 0 or self.trainer.limit_train_batches == 0

    @classmethod
    def replace(cls, trainer: Trainer) -> None:
        """Replace the loop of ``trainer``."""
        before = trainer.fit_loop
        trainer.fit_loop = cls(trainer, before.min_epochs, before.max_epochs)
        trainer.fit_loop.epoch_loop = before.epoch_loop


def ended(run: RunFolder) -> dict[str, Any] | None:
    """Return the content of the last checkpoint if the training has ended; only the test may then be missing."""
    if not run.last.is_file():
        return None
    content = torch.load(run.last, map_location="cpu", weights_only=True, mmap=True)
    return content if content.get(_ENDED) else None


def keep_the_end(trainer: Trainer, module: LightningModule, run: RunFolder, weights: Literal["best", "last"]) -> None:
    """Write the final weights to ``last.ckpt``, marked as the end of the training.

    If a callback changed the weights after the last checkpoint, as :class:`StochasticWeightAveraging` does, the changed
    weights are the result: with ``protocol.weights=best`` they are tested too, since no epoch validated them. The
    averages of :class:`WeightAveraging` and :class:`EMAWeightAveraging` are validated in every epoch.

    Raises:
        ConfigError: no epoch was trained, or none has a score for selecting weights.
        TrainingError: a callback made the weights non-finite.
    """
    if not run.last.is_file():
        raise ConfigError(
            run.path,
            expected="at least one trained epoch",
            found="none",
            remedy="increase trainer.max_time or trainer.limit_train_batches",
        )
    if bool(has_broken_weights(module)):
        raise TrainingError(
            run.path,
            expected="finite weights at the end of the training",
            found="NaN or infinity",
            remedy="remove the callback (trainer.callbacks) that changes the weights there; the last epoch is kept",
        )
    content = torch.load(run.last, map_location="cpu", weights_only=True)
    own = dict(move_data_to_device(module.state_dict(), torch.device("cpu")))
    if _differ(own, content["state_dict"]):
        _log.info("a callback changed the weights at the end of the training; the changed weights are tested")
        content["state_dict"] = own
        if weights == "best":
            WholeCheckpointIO().save_checkpoint(content, run.best)
    if weights == "best" and not run.best.is_file():
        raise ConfigError(
            run.path,
            expected="a validation split with a label that gives val/score",
            found="none",
            remedy="use protocol=paper, or a larger data.validation_fraction",
        )
    _warn_of_lost_average(trainer)
    WholeCheckpointIO().save_checkpoint(content | {_ENDED: True}, run.last)


def _warn_of_lost_average(trainer: Trainer) -> None:
    averaging = any(isinstance(callback, StochasticWeightAveraging) for callback in trainer.callbacks)  # pyright: ignore[reportAttributeAccessIssue]
    if averaging and trainer.max_epochs is not None and trainer.current_epoch < trainer.max_epochs:
        _log.warning(
            "StochasticWeightAveraging averages only in the last of trainer.max_epochs=%d epochs, and this training "
            "stopped after %d: its weights are those of its last epoch",
            trainer.max_epochs,
            trainer.current_epoch,
        )


def _differ(own: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    tensors = {name: value for name, value in own.items() if isinstance(value, Tensor)}
    return any(
        not isinstance(kept.get(name), Tensor) or not torch.equal(value, kept[name]) for name, value in tensors.items()
    )
