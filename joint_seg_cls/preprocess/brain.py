"""Where the brain is: the mask that the cohort table names, or what is left of a scan that came without skull."""

from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan import Scan

#: A head is larger than this, a brain never is; the fixed template brain holds 1,880 mL.
LARGEST_BRAIN_ML = 2500.0


@runtime_checkable
class BrainMask(Protocol):
    """Finds the brain on a scan's own grid."""

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Bool[np.ndarray, "x y z"]:
        """Return the brain; ``given`` is the mask of the cohort table, if it names one."""
        ...


@final
class GivenBrain:
    """Take the table's ``brain_mask``; without one, the voxels of a stripped scan that are not exactly 0, holes filled.

    Raises:
        ScanError: the mask is empty; or no mask is given and the scan still has its skull, that is, its background is
            not 0 or the rest is larger than a brain can be.
    """

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Bool[np.ndarray, "x y z"]:
        """Return the brain on the grid of ``scan``."""
        if given is not None:
            if not given.any():
                raise ScanError(
                    scan.path, expected="a brain mask with voxels", found="an empty one", remedy="redo brain extraction"
                )
            return given
        brain = ndimage.binary_fill_holes(scan.data != 0)
        volume_ml = float(brain.sum()) * scan.grid.voxel_ml
        if brain.all() or volume_ml > LARGEST_BRAIN_ML:
            raise ScanError(
                scan.path,
                expected="a scan without skull (background exactly 0) or a brain_mask in the table",
                found=f"{volume_ml:.0f} mL that are not 0 (a brain has at most {LARGEST_BRAIN_ML:.0f})",
                remedy="extract the brain first, or name its mask in the column brain_mask",
            )
        return brain
