"""The end of a training: the work of callbacks at the end is kept, and done once even if the run is interrupted."""

import logging
from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from lightning import LightningModule, Trainer
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
    """Lightning's loop over epochs, which also calls ``on_train_end`` if a resumed run has no epoch left.

    Lightning returns early in this case, and the work of callbacks at the end (averaging weights) is lost.
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
    """Return the content of the last checkpoint if the training has ended; only the test may be missing then."""
    if not run.last.is_file():
        return None
    content = torch.load(run.last, map_location="cpu", weights_only=True, mmap=True)
    return content if content.get(_ENDED) else None


def keep_the_end(trainer: Trainer, module: LightningModule, run: RunFolder, weights: Literal["best", "last"]) -> None:
    """Write the final weights to ``last.ckpt`` with a note that the training has ended.

    If a callback has changed the weights after the last checkpoint (:class:`StochasticWeightAveraging` does), these are
    the result of the training: with ``protocol.weights=best`` they are tested too, as no epoch has validated them.
    Callbacks that average during the training (:class:`WeightAveraging`, :class:`EMAWeightAveraging`) have their
    average validated at every epoch, and ``best`` is one of these.

    Raises:
        ConfigError: no epoch was trained, or none gave a score to choose weights by.
        TrainingError: the weights are not finite after a callback.
    """
    if not run.last.is_file():
        raise ConfigError(
            run.path,
            expected="an epoch of training",
            found="none",
            remedy="give it more: trainer.max_time, trainer.limit_train_batches",
        )
    if bool(has_broken_weights(module)):
        raise TrainingError(
            run.path,
            expected="finite weights at the training's end",
            found="NaN or infinity",
            remedy="leave out the callback (trainer.callbacks) that changes them there; the last epoch is kept",
        )
    content = torch.load(run.last, map_location="cpu", weights_only=True)
    own = {name: _on_cpu(value) for name, value in module.state_dict().items()}
    if _differ(own, content["state_dict"]):
        _log.info("a callback changed the weights at the training's end: these are tested")
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
            "StochasticWeightAveraging averages at the last of trainer.max_epochs=%d epochs alone, and this training "
            "stopped after %d: its weights are those of its last epoch",
            trainer.max_epochs,
            trainer.current_epoch,
        )


def _differ(own: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    tensors = {name: value for name, value in own.items() if isinstance(value, Tensor)}
    return any(
        not isinstance(kept.get(name), Tensor) or not torch.equal(value, kept[name]) for name, value in tensors.items()
    )


def _on_cpu(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, Tensor) else value
