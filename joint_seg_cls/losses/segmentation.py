"""Segmentation losses: difference between lesion map and reference ([1], section 3.4)."""

from typing import final

from jaxtyping import Bool, Float
from monai.losses import DiceLoss as MonaiDiceLoss
from torch import Tensor
from torch.nn import functional

from joint_seg_cls.losses.terms import SegmentationLoss, mean_over

#: Added to numerator and denominator in voxels, so that the loss of an empty reference is defined.
SMOOTH_VOXELS = 1.0


@final
class DiceLoss(SegmentationLoss):
    r"""Mean over scans of one minus the soft Dice coefficient, [1] Eq. 13.

    .. math:: L_{seg} = 1 - \frac{2 \sum p g + s}{\sum p + \sum g + s}

    p: lesion probability; g: reference, 0 or 1; sums over the voxels of one scan; s: 1 voxel.
    Departs from [1], which defines neither s nor the treatment of empty references. By default a scan without lesions
    counts, and penalises false lesions; ``leave_out_empty`` excludes it from the mean.

    Args:
        leave_out_empty: exclude scans without lesions.
        over_batch: one coefficient, with sums over the voxels of all scans of the batch; for patches, some of which
            have few lesion voxels.

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
    """The Dice loss plus the voxel-wise cross-entropy of each scan; not in [1].

    Args:
        leave_out_empty: exclude scans with an empty reference from the Dice term, but not from the cross-entropy.
        over_batch: as in :class:`DiceLoss`, for the Dice term.

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
