"""Segmentation losses: how far the lesion map is from its reference ([1], section 3.4)."""

from typing import final

from jaxtyping import Bool, Float
from monai.losses import DiceLoss as MonaiDiceLoss
from torch import Tensor
from torch.nn import functional

from joint_seg_cls.losses.terms import SegmentationLoss, mean_over

#: Voxels added above and below, so that an empty reference has a value.
SMOOTH_VOXELS = 1.0


@final
class DiceLoss(SegmentationLoss):
    r"""One minus the soft Dice coefficient of each scan, then the mean, [1] Eq. 13.

    .. math:: L_{seg} = 1 - \frac{2 \sum p g + s}{\sum p + \sum g + s}

    p: lesion probability; g: reference, 0 or 1; sums over the voxels of one scan; s: 1 voxel.
    Departs from [1]: s and the treatment of empty references are not given. A scan without lesions counts by default,
    and pulls false lesions down; ``leave_out_empty`` leaves it out of the mean.

    Args:
        leave_out_empty: leave out scans without lesions.
        over_batch: one coefficient, with sums over the voxels of all scans of the batch: for patches, of which some
            hold a few voxels of lesion only.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, leave_out_empty: bool = False, over_batch: bool = False) -> None:
        super().__init__()
        self.leave_out_empty, self.over_batch = leave_out_empty, over_batch
        self.dice = MonaiDiceLoss(sigmoid=True, smooth_nr=SMOOTH_VOXELS, smooth_dr=SMOOTH_VOXELS, reduction="none")

    def forward(
        self,
        lesion_logits: Float[Tensor, "b 1 x y z"],
        lesion_mask: Float[Tensor, "b 1 x y z"],
        labelled: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean Dice loss over the scans with a reference."""
        if self.leave_out_empty:
            labelled = labelled & (lesion_mask.flatten(1) > 0).any(dim=1)
        if self.over_batch:
            probability = lesion_logits.sigmoid() * labelled.view(-1, 1, 1, 1, 1)
            reference = lesion_mask * labelled.view(-1, 1, 1, 1, 1)
            above = 2 * (probability * reference).sum() + SMOOTH_VOXELS
            return 1 - above / (probability.sum() + reference.sum() + SMOOTH_VOXELS)
        return mean_over(self.dice(lesion_logits, lesion_mask).flatten(), labelled)


@final
class DiceCrossEntropyLoss(SegmentationLoss):
    """The Dice loss plus the voxel-wise cross-entropy of each scan, a switch that [1] does not have.

    Args:
        leave_out_empty: leave scans with an empty reference out of the Dice part; the cross-entropy keeps them.
        over_batch: as in :class:`DiceLoss`, for the Dice part.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, leave_out_empty: bool = False, over_batch: bool = False) -> None:
        super().__init__()
        self.dice = DiceLoss(leave_out_empty, over_batch)

    def forward(
        self,
        lesion_logits: Float[Tensor, "b 1 x y z"],
        lesion_mask: Float[Tensor, "b 1 x y z"],
        labelled: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the sum of both means over the scans with a reference."""
        by_voxel = functional.binary_cross_entropy_with_logits(lesion_logits, lesion_mask, reduction="none")
        cross_entropy = mean_over(by_voxel.mean((1, 2, 3, 4)), labelled)
        return self.dice(lesion_logits, lesion_mask, labelled) + cross_entropy
