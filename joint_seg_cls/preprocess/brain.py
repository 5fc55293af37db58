"""Where the brain is: the mask that the cohort table names, what is left of a stripped scan, or what is extracted."""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from joint_seg_cls.errors import ScanError
from joint_seg_cls.preprocess.skull import judge_skull
from joint_seg_cls.scan import Scan

_UNCLEAR = "it is not clear whether this scan still shows the skull"
_NAME_IT = "if that is wrong, name its brain mask in the column brain_mask of a cohort table"
#: An extracted mask whose largest piece holds less than this share of it is a failure.
LEAST_SHARE = 0.95


@final
@dataclass(frozen=True, eq=False)
class Brain:
    """The brain of one scan.

    Attributes:
        mask: the brain on the scan's own grid.
        how: where the mask is from: ``table``, ``stripped`` (the scan came without skull) or the extractor's name.
        doubt: why the choice between the two may be wrong, in a sentence; empty where it is clear.
    """

    mask: Bool[np.ndarray, "x y z"]
    how: str
    doubt: str = ""


@runtime_checkable
class BrainMask(Protocol):
    """Finds the brain on a scan's own grid."""

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain; ``given`` is the mask of the cohort table, if it names one."""
        ...


@runtime_checkable
class Extractor(Protocol):
    """Separates the brain from skull, scalp and the rest of the head."""

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
            not 0, the rest is larger than a brain, or a bright rim lies outside a dark shell.
    """

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain on the grid of ``scan``."""
        if given is not None:
            return _from_table(scan, given)
        skull, tissue = judge_skull(scan.data, scan.grid)
        if skull == "absent":
            return Brain(tissue, "stripped")
        if skull == "unclear":
            doubt = f"{_UNCLEAR}, and everything that is not 0 was taken as the brain: {_NAME_IT}"
            return Brain(tissue, "stripped", doubt)
        volume_ml = float(np.count_nonzero(scan.data)) * scan.grid.voxel_ml
        raise ScanError(
            scan.path,
            expected="a scan without skull (background exactly 0) or a brain_mask in the table",
            found=f"a head with its skull ({volume_ml:.0f} mL that are not 0)",
            remedy="in jsc prepare use preprocess/brain=bet, or name its mask in the column brain_mask",
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
        if given is not None:
            return _from_table(scan, given)
        skull, tissue = judge_skull(scan.data, scan.grid)
        if skull == "absent":
            return Brain(tissue, "stripped")
        doubt = f"{_UNCLEAR}, and the brain was extracted: {_NAME_IT}" if skull == "unclear" else ""
        return Brain(self.extractor(scan), self.extractor.name, doubt)


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
