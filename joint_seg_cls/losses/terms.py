"""What a term of the joint loss must do, and the mean over the scans that have its label."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, distributed, nn


class SegmentationLoss(nn.Module, ABC):
    """From the lesion map and its reference to a number."""

    @abstractmethod
    def forward(
        self,
        lesion_logits: Float[Tensor, "b 1 x y z"],
        lesion_mask: Float[Tensor, "b 1 x y z"],
        labelled: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean over the scans with a reference."""


class ClassificationLoss(nn.Module, ABC):
    """From the class scores and the disease to a number."""

    @abstractmethod
    def forward(
        self,
        disease_logits: Float[Tensor, "b classes"],
        disease: Int64[Tensor, " b"],
        labelled: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean over the scans with a known disease."""


class ConsistencyLoss(nn.Module, ABC):
    """From the maps of both tasks to a number that says how far they disagree."""

    @abstractmethod
    def forward(
        self,
        scale_logits: tuple[Float[Tensor, "b 1 _ _ _"], ...],
        location_maps: tuple[Float[Tensor, "b classes _ _ _"], ...],
        shown_class: Int64[Tensor, " b"],
        class_is_known: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean over all scans; ``shown_class`` is the class whose location maps count."""


def mean_over(per_scan: Float[Tensor, " b"], chosen: Bool[Tensor, " b"]) -> Float[Tensor, ""]:
    """Return the mean of ``per_scan`` over the chosen scans, an exact 0 attached to the graph, if none are.

    While processes train together (DDP averages their gradients), the sum of this process is divided by the mean number
    of chosen scans a process, so that the averaged gradient is that of one process that saw all the scans. Without
    gradients nothing is exchanged, and each process returns the mean of its own.
    """
    total = torch.where(chosen, per_scan, torch.zeros_like(per_scan)).sum()
    count = _scans_a_process(chosen)
    return total / torch.where(count > 0, count, torch.ones_like(count)).to(total.dtype)


def _scans_a_process(chosen: Bool[Tensor, " b"]) -> Float[Tensor, ""]:
    count = chosen.sum().float()
    if torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(count)
        count = count / distributed.get_world_size()
    return count


def attached_zero(*outputs: Tensor | None) -> Float[Tensor, ""]:
    """Return an exact 0 with a zero gradient for every output that is there, so that no parameter looks unused."""
    present = [output for output in outputs if output is not None]
    if not present:
        return torch.zeros(())
    return torch.stack([output.flatten()[:0].sum() for output in present]).sum()
