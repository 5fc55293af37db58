"""Arguments of the Trainer that are refused."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder, OnExceptionCheckpoint

from joint_seg_cls.errors import ConfigError

#: Short forms of precisions in Lightning.
_PRECISIONS = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
#: Callbacks of Lightning that are refused, and the alternative.
_CALLBACKS = {
    OnExceptionCheckpoint: "a run is resumed after its last finished epoch; leave it out",
    BatchSizeFinder: "the name of the run would be wrong; set data.batch_size",
    LearningRateFinder: "the name of the run would be wrong; set optimizer.lr",
}


def make_trainer_or_refuse(make_trainer: Callable[..., Trainer], **arguments: Any) -> Trainer:
    """Return the Trainer.

    Raises:
        ConfigError: it refuses its arguments; it would use another precision than the one in the name of the run; or a
            callback does not work in runs that can be resumed.
    """
    with _arguments_checked(), warnings.catch_warnings():
        # that another precision is used: refused below
        warnings.filterwarnings("ignore", message=r"You passed `Trainer\(accelerator='cpu', precision='16-mixed'\)`")
        warnings.filterwarnings("ignore", message=r"`precision=\w+` is supported for historical reasons")
        trainer = make_trainer(**arguments)
    asked = str(getattr(make_trainer, "keywords", {}).get("precision"))
    asked = _PRECISIONS.get(asked, asked)
    if asked.endswith(("-mixed", "-true")) and trainer.precision != asked:
        raise ConfigError(
            "trainer.precision",
            expected=f"a precision that this machine ({type(trainer.accelerator).__name__}) computes in",
            found=f"{asked}, in place of which Lightning uses {trainer.precision}",
            remedy=f"set trainer.precision={trainer.precision}, or 32-true",
        )
    for callback in trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
        if type(callback) in _CALLBACKS:
            raise ConfigError(
                "trainer.callbacks",
                expected="callbacks that work in runs that can be resumed",
                found=type(callback).__name__,
                remedy=_CALLBACKS[type(callback)],
            )
    return trainer


@contextmanager
def _arguments_checked() -> Iterator[None]:
    """Turn errors of the Trainer into one sentence."""
    try:
        yield
    except (MisconfigurationException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(
            "trainer",
            expected="arguments that fit each other and this machine",
            found=reason,
            remedy="correct them",
        ) from error
