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
#: An extracted mask whose largest piece holds less than this share of it is a failure.
LEAST_SHARE = 0.95


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
class TableBrain:
    """Take the table's ``brain_mask`` and nothing else.

    Raises:
        ScanError: no mask is given, or it is empty.
    """

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain on the grid of ``scan``."""
        if given is None:
            raise ScanError(
                scan.path,
                expected="a brain mask (preprocess/brain=given)",
                found="none",
                remedy="name one in the column brain_mask, or extract the brain (preprocess/brain=bet)",
            )
        return _from_table(scan, given)


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
        return _from_table(scan, given)
    brain = ndimage.binary_fill_holes(scan.data != 0)
    volume_ml = float(brain.sum()) * scan.grid.voxel_ml
    return None if brain.all() or volume_ml > LARGEST_BRAIN_ML else Brain(brain, "stripped")


def plausible_brain(
    mask: Bool[np.ndarray, "x y z"], scan: Scan, *, smallest_ml: int | float, largest_ml: int | float, remedy: str
) -> Bool[np.ndarray, "x y z"]:
    """Return the largest piece of an extracted mask, holes filled, if it can be a brain.

    Raises:
        ScanError: the mask is empty, in pieces, or holds fewer or more millilitres than a brain.
    """
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    found = "none" if count == 0 else ""
    if count and (share := sizes.max() / sizes.sum()) < LEAST_SHARE:
        found = f"{count} pieces, the largest with {share:.0%} of the volume"
    brain = ndimage.binary_fill_holes(labels == 1 + np.argmax(sizes)) if count else mask
    volume_ml = float(brain.sum()) * scan.grid.voxel_ml
    if not found and not smallest_ml <= volume_ml <= largest_ml:
        found = f"{volume_ml:.0f} mL"
    if found:
        expected = f"a head whose brain (one piece of {smallest_ml:.0f} to {largest_ml:.0f} mL) can be extracted"
        raise ScanError(scan.path, expected=expected, found=found, remedy=remedy)
    return brain


def _from_table(scan: Scan, given: Bool[np.ndarray, "x y z"]) -> Brain:
    if not given.any():
        raise ScanError(
            scan.path, expected="a brain mask with voxels", found="an empty one", remedy="redo brain extraction"
        )
    return Brain(given, "table")
