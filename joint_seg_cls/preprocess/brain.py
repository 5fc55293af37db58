"""Where the brain is: the mask that the cohort table names, what is left of a stripped scan, or what is extracted."""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan import Scan

#: A head is larger than this, a brain never is; the fixed template brain holds 1,880 mL.
LARGEST_BRAIN_ML = 2500.0


@final
@dataclass(frozen=True, eq=False)
class Brain:
    """The brain of one scan.

    Attributes:
        mask: the brain on the scan's own grid.
        how: where the mask is from: ``table``, ``stripped`` (the scan came without skull) or the extractor's name.
    """

    mask: Bool[np.ndarray, "x y z"]
    how: str


@runtime_checkable
class BrainMask(Protocol):
    """Finds the brain on a scan's own grid."""

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain; ``given`` is the mask of the cohort table, if it names one."""
        ...


@runtime_checkable
class Extractor(Protocol):
    """Tells the brain from skull, scalp and the rest of the head."""

    @property
    def name(self) -> str:
        """What provenance calls it."""
        ...

    def __call__(self, scan: Scan) -> Bool[np.ndarray, "x y z"]:
        """Return the brain on the scan's own grid.

        Raises:
            ScanError: no plausible brain was found.
        """
        ...


@final
class GivenBrain:
    """Take the table's ``brain_mask``; without one, the voxels of a stripped scan that are not exactly 0, holes filled.

    Raises:
        ScanError: the mask is empty; or no mask is given and the scan still has its skull, that is, its background is
            not 0 or the rest is larger than a brain can be.
    """

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain on the grid of ``scan``."""
        if (brain := without_extraction(scan, given)) is not None:
            return brain
        volume_ml = float(np.count_nonzero(scan.data)) * scan.grid.voxel_ml
        raise ScanError(
            scan.path,
            expected="a scan without skull (background exactly 0) or a brain_mask in the table",
            found=f"{volume_ml:.0f} mL that are not 0 (a brain has at most {LARGEST_BRAIN_ML:.0f})",
            remedy="extract the brain (preprocess/brain=bet), or name its mask in the column brain_mask",
        )


@final
class ExtractedBrain:
    """Take the table's ``brain_mask`` or what is left of a stripped scan; extract the brain of every other scan.

    Args:
        extractor: tells the brain from the rest of the head.

    Raises:
        ScanError: the given mask is empty, or the extractor found no plausible brain.
    """

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain on the grid of ``scan``."""
        return without_extraction(scan, given) or Brain(self.extractor(scan), self.extractor.name)


def without_extraction(scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain | None:
    """Return the brain of a scan whose mask is given or that came without skull, and None for any other scan.

    Raises:
        ScanError: the given mask is empty.
    """
    if given is not None:
        if not given.any():
            raise ScanError(
                scan.path, expected="a brain mask with voxels", found="an empty one", remedy="redo brain extraction"
            )
        return Brain(given, "table")
    brain = ndimage.binary_fill_holes(scan.data != 0)
    volume_ml = float(brain.sum()) * scan.grid.voxel_ml
    return None if brain.all() or volume_ml > LARGEST_BRAIN_ML else Brain(brain, "stripped")
