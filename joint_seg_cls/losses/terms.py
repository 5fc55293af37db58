"""Interfaces of the terms of the joint loss, and the mean over the scans with a label."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, distributed, nn


class SegmentationLoss(nn.Module, ABC):
    """Compares the lesion map with its reference."""

    @abstractmethod
    def forward(
        self,
        lesion_logits: Float[Tensor, "b 1 x y z"],
        lesion_mask: Float[Tensor, "b 1 x y z"],
        labelled: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean over the scans with a reference."""


class ClassificationLoss(nn.Module, ABC):
    """Compares the class scores with the disease."""

    @abstractmethod
    def forward(
        self,
        disease_logits: Float[Tensor, "b classes"],
        disease: Int64[Tensor, " b"],
        labelled: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean over the scans with a known disease."""


class ConsistencyLoss(nn.Module, ABC):
    """Measures the disagreement of the maps of both tasks."""

    @abstractmethod
    def forward(
        self,
        scale_logits: tuple[Float[Tensor, "b 1 _ _ _"], ...],
        location_maps: tuple[Float[Tensor, "b classes _ _ _"], ...],
        shown_class: Int64[Tensor, " b"],
        class_is_known: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean over all scans; ``shown_class`` is the class whose location maps are used."""


def mean_over(per_scan: Float[Tensor, " b"], chosen: Bool[Tensor, " b"]) -> Float[Tensor, ""]:
    """Return the mean of ``per_scan`` over the chosen scans, or an exact 0 attached to the graph if there are none.

    In distributed training (DDP averages gradients), the sum of this process is divided by the mean number
    of chosen scans per process, so that the averaged gradient is that of one process with all scans. Without
    gradients nothing is exchanged, and each process returns its own mean.
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
    """Return an exact 0 with a zero gradient for every output, so that DDP finds no unused parameter."""
    present = [output for output in outputs if output is not None]
    if not present:
        return torch.zeros(())
    return torch.stack([output.flatten()[:0].sum() for output in present]).sum()
