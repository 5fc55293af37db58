"""Creation of the Trainer, with checks of its arguments."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder, OnExceptionCheckpoint

from joint_seg_cls.errors import ConfigError, reason_of

#: Lightning's short names of precisions.
_PRECISIONS = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
#: Refused callbacks of Lightning, with the reason and the alternative.
_CALLBACKS = {
    OnExceptionCheckpoint: "remove it; a run is resumed after its last finished epoch",
    BatchSizeFinder: "set data.batch_size, which is part of the run's identity",
    LearningRateFinder: "set optimizer.lr, which is part of the run's identity",
}


def checked_trainer(make_trainer: Callable[..., Trainer], **arguments: Any) -> Trainer:
    """Create the Trainer.

    Raises:
        ConfigError: the Trainer refuses its arguments, uses another precision than requested, or has a callback that
            does not work in resumable runs.
    """
    with _arguments_checked(), warnings.catch_warnings():
        # a replaced precision is refused below
        warnings.filterwarnings("ignore", message=r"You passed `Trainer\(accelerator='cpu', precision='16-mixed'\)`")
        warnings.filterwarnings("ignore", message=r"`precision=\w+` is supported for historical reasons")
        trainer = make_trainer(**arguments)
    requested = str(getattr(make_trainer, "keywords", {}).get("precision"))
    requested = _PRECISIONS.get(requested, requested)
    if requested.endswith(("-mixed", "-true")) and trainer.precision != requested:
        raise ConfigError(
            "trainer.precision",
            expected=f"a precision that this machine ({type(trainer.accelerator).__name__}) computes in",
            found=f"{requested}, which Lightning replaces by {trainer.precision}",
            remedy=f"set trainer.precision={trainer.precision}, or 32-true",
        )
    for callback in trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
        if type(callback) in _CALLBACKS:
            raise ConfigError(
                "trainer.callbacks",
                expected="callbacks that work in resumable runs",
                found=type(callback).__name__,
                remedy=_CALLBACKS[type(callback)],
            )
    return trainer


@contextmanager
def _arguments_checked() -> Iterator[None]:
    """Convert errors of the Trainer."""
    try:
        yield
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(
            "trainer",
            expected="arguments consistent with each other and with this machine",
            found=reason_of(error, 1000),
            remedy="correct them",
        ) from error
