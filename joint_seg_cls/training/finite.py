"""Detection of non-finite values, which stop a training with an error that names the scans."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from joint_seg_cls.errors import TrainingError

Item = TypeVar("Item")
_REMEDY = "inspect these scans, or train with a lower optimizer.lr or with trainer.gradient_clip_val=1"


def has_broken_weights(module: nn.Module) -> Tensor:
    """Return whether a parameter or a buffer is NaN or infinite, as a tensor on the device of the module."""
    values = [*module.parameters(), *module.buffers()]
    norm = nn.utils.get_total_norm([value.detach() for value in values if value.is_floating_point()], torch.inf)
    return ~norm.isfinite()


def stop(epoch: int, cases: Sequence[str], *, expected: str, found: str) -> TrainingError:
    """Return the error that ends the training; must be called in all processes.

    Args:
        epoch: counted from 0.
        cases: the affected scans of this process; empty if they are in another process.
        expected: what should be finite.
        found: the values found.
    """
    parts = [part for part in gathered((list(cases), found)) if part[0]]
    names = ", ".join(sorted({name for own, _ in parts for name in own}))
    return TrainingError(
        f"epoch {epoch + 1}, scans {names}",
        expected=expected,
        found="; ".join(dict.fromkeys(there for _, there in parts)),
        remedy=f"{_REMEDY}; the last epoch is kept",
    )


def gathered(own: Item) -> list[Item]:
    """Return the objects of all training processes."""
    if not is_shared():
        return [own]
    parts = [own] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return parts


def summed(counts: Tensor) -> list[int]:
    """Return the sums of integers over all training processes."""
    if is_shared():
        distributed.all_reduce(counts)
    return [int(count) for count in counts.tolist()]


def is_shared() -> bool:
    """Return whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized()


def broken_weights(epoch: int, cases: Sequence[str]) -> TrainingError:
    """Return the error for weights that became NaN or infinite in an optimiser step on ``cases``."""
    return stop(epoch, cases, expected="finite weights after the optimiser's step", found="NaN or infinity")
