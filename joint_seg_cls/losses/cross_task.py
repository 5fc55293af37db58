"""Cross-task loss: agreement between location maps and lesion maps ([1], section 3.3.2)."""

from typing import Literal, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from joint_seg_cls.errors import require_choice
from joint_seg_cls.losses.terms import ConsistencyLoss, attached_zero, mean_over

EtaOrder = Literal["blocks", "reversed"]
Location = Literal["linear", "sigmoid", "relu_minmax"]
StopGradient = Literal["none", "segmentation", "location"]

#: Weights of [1] Eq. 11 for classification blocks 1, 2, 3: at 1/2, 1/4 and 1/8 of the image's grid.
ETA = (0.25, 0.25, 0.5)
#: Avoids division by zero for the range of a constant map.
SMALLEST_RANGE = 1e-6


@final
class CrossTaskLoss(ConsistencyLoss):
    r"""Mean squared difference between lesion maps and location maps of the same size, [1] Eq. 11.

    .. math:: L_{cross} = \sum_{i=1}^{3} \eta_i \cdot mean\big((S_i - V_i)^2\big)

    i: classification block, at 1/2, 1/4, 1/8 of the image's grid; S_i: sigmoid of the segmentation's map on that grid;
    V_i: location map of one class (Eq. 10); eta: 0.25, 0.25, 0.5; the mean is over voxels, then over scans.
    Departs from [1], which does not define the numbering of i (``eta_order``: the blocks as in Eq. 6 and 10, or
    ``reversed``, which mirrors Eq. 5), the activation of V (``location``: ``linear`` as printed, ``sigmoid``, or
    ``relu_minmax``), and the flow of gradients (``stop_gradient``: to both sides with ``none``, else not to the side
    named). If the class is only predicted, no gradient flows to V.

    Raises:
        ConfigError: an unknown choice.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(
        self, eta_order: EtaOrder = "blocks", location: Location = "linear", stop_gradient: StopGradient = "none"
    ) -> None:
        super().__init__()
        require_choice("loss.cross_task.eta_order", eta_order, EtaOrder)
        require_choice("loss.cross_task.location", location, Location)
        require_choice("loss.cross_task.stop_gradient", stop_gradient, StopGradient)
        self.eta = ETA if eta_order == "blocks" else ETA[::-1]
        self.location: Location = location
        self.stop_gradient: StopGradient = stop_gradient

    def forward(
        self,
        scale_logits: tuple[Float[Tensor, "b 1 _ _ _"], ...],
        location_maps: tuple[Float[Tensor, "b classes _ _ _"], ...],
        shown_class: Int64[Tensor, " b"],
        class_is_known: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the weighted sum over the three grids; both tuples are ordered from coarse to fine."""
        pairs = zip(self.eta, scale_logits[2::-1], location_maps[::-1], strict=True)
        per_scan = torch.stack([eta * self._distance(s, v, shown_class, class_is_known) for eta, s, v in pairs])
        return mean_over(per_scan.sum(dim=0), torch.ones_like(class_is_known))

    def _distance(self, logits: Tensor, maps: Tensor, shown_class: Tensor, known: Tensor) -> Float[Tensor, " b"]:
        segmentation = logits[:, 0].sigmoid()
        location = maps[torch.arange(len(maps), device=maps.device), shown_class]
        location = torch.where(known[:, None, None, None], location, location.detach())
        if self.stop_gradient == "segmentation":
            segmentation = segmentation.detach()
        if self.stop_gradient == "location":
            location = location.detach()
        return (segmentation - _activated(location, self.location)).square().mean((1, 2, 3))


@final
class NoCrossTaskLoss(ConsistencyLoss):
    """No cross-task term ([1] Table 9, "w/o cross loss"): an exact 0 attached to the graph."""

    def forward(
        self,
        scale_logits: tuple[Float[Tensor, "b 1 _ _ _"], ...],
        location_maps: tuple[Float[Tensor, "b classes _ _ _"], ...],
        shown_class: Int64[Tensor, " b"],
        class_is_known: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return 0."""
        del shown_class, class_is_known
        return attached_zero(*scale_logits, *location_maps)


def _activated(maps: Float[Tensor, "b x y z"], how: Location) -> Float[Tensor, "b x y z"]:
    if how == "linear":
        return maps
    if how == "sigmoid":
        return maps.sigmoid()
    positive = maps.relu()
    low, high = positive.amin((1, 2, 3), keepdim=True), positive.amax((1, 2, 3), keepdim=True)
    return (positive - low) / (high - low).clamp(min=SMALLEST_RANGE)
