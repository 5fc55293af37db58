"""The brain mask of a scan: from the cohort table, from an already skull-stripped scan, or extracted."""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from joint_seg_cls.errors import ScanError
from joint_seg_cls.preprocess.skull import detect_skull
from joint_seg_cls.scan import Scan

_UNCLEAR = "it is not clear whether this scan includes the skull"
_NAME_IT = "if that is wrong, give its brain mask in the column brain_mask of a cohort table"
#: Minimum fraction of an extracted mask in its largest component.
LEAST_SHARE = 0.95


@final
@dataclass(frozen=True, eq=False)
class Brain:
    """The brain of one scan.

    Attributes:
        how: source of the mask: ``table``, ``stripped`` (an already skull-stripped scan) or the name of the extractor.
        doubt: why the source may be wrong, as a sentence; empty if it is clear.
    """

    mask: Bool[np.ndarray, "x y z"]
    how: str
    doubt: str = ""


@runtime_checkable
class BrainMask(Protocol):
    """Returns the brain mask of a scan on its own grid."""

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain; ``given`` is the mask of the cohort table, if any."""
        ...


@runtime_checkable
class Extractor(Protocol):
    """Separates the brain from skull, scalp and the rest of the head."""

    @property
    def name(self) -> str:
        """Name in the provenance."""
        ...

    def __call__(self, scan: Scan) -> Bool[np.ndarray, "x y z"]:
        """Return the brain on the scan's own grid.

        Raises:
            ScanError: no plausible brain was found.
        """
        ...


@final
class NoExtraction:
    """Use the table's ``brain_mask``, or else the nonzero voxels of a skull-stripped scan with holes filled.

    Raises:
        ScanError: the mask is empty; or there is no mask and the scan still has its skull, that is, its background is
            not 0, the foreground is larger than a brain, or a bright rim surrounds a dark shell.
    """

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain on the grid of ``scan``."""
        if given is not None:
            return _from_table(scan, given)
        skull, tissue = detect_skull(scan.data, scan.grid)
        if skull == "absent":
            return Brain(tissue, "stripped")
        if skull == "unclear":
            doubt = f"{_UNCLEAR}, and all nonzero voxels were used as the brain: {_NAME_IT}"
            return Brain(tissue, "stripped", doubt)
        volume_ml = float(np.count_nonzero(scan.data)) * scan.grid.voxel_ml
        raise ScanError(
            scan.path,
            expected="a skull-stripped scan (background exactly 0) or a brain_mask in the table",
            found=f"a head with its skull ({volume_ml:.0f} mL of nonzero voxels)",
            remedy="in jsc prepare use preprocess/brain=bet, or give its mask in the column brain_mask",
        )


@final
class MaskFromTable:
    """Use only the table's ``brain_mask``.

    Raises:
        ScanError: the mask is missing or empty.
    """

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain on the grid of ``scan``."""
        if given is None:
            raise ScanError(
                scan.path,
                expected="a brain mask (preprocess/brain=given)",
                found="none",
                remedy="give one in the column brain_mask, or in jsc prepare use preprocess/brain=bet",
            )
        return _from_table(scan, given)


@final
class ExtractedBrain:
    """Use the table's ``brain_mask`` or the nonzero voxels of a skull-stripped scan; extract the brain of other scans.

    Raises:
        ScanError: the given mask is empty, or the extractor found no plausible brain.
    """

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor

    def __call__(self, scan: Scan, given: Bool[np.ndarray, "x y z"] | None) -> Brain:
        """Return the brain on the grid of ``scan``."""
        if given is not None:
            return _from_table(scan, given)
        skull, tissue = detect_skull(scan.data, scan.grid)
        if skull == "absent":
            return Brain(tissue, "stripped")
        doubt = f"{_UNCLEAR}, and the brain was extracted: {_NAME_IT}" if skull == "unclear" else ""
        return Brain(self.extractor(scan), self.extractor.name, doubt)


def plausible_brain(
    mask: Bool[np.ndarray, "x y z"], scan: Scan, *, smallest_ml: int | float, largest_ml: int | float, remedy: str
) -> Bool[np.ndarray, "x y z"]:
    """Return the largest component of an extracted mask with holes filled, if it can be a brain.

    Raises:
        ScanError: the mask is empty or fragmented, or its volume is not that of a brain.
    """
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    found = "none" if count == 0 else ""
    if count and (share := sizes.max() / sizes.sum()) < LEAST_SHARE:
        found = f"{count} components, the largest with {share:.0%} of the volume"
    brain = ndimage.binary_fill_holes(labels == 1 + np.argmax(sizes)) if count else mask
    volume_ml = float(brain.sum()) * scan.grid.voxel_ml
    if not found and not smallest_ml <= volume_ml <= largest_ml:
        found = f"{volume_ml:.0f} mL"
    if found:
        expected = f"a head with an extractable brain (one component of {smallest_ml:.0f} to {largest_ml:.0f} mL)"
        raise ScanError(scan.path, expected=expected, found=found, remedy=remedy)
    return brain


def _from_table(scan: Scan, given: Bool[np.ndarray, "x y z"]) -> Brain:
    if not given.any():
        raise ScanError(
            scan.path, expected="a brain mask with voxels", found="an empty one", remedy="redo brain extraction"
        )
    return Brain(given, "table")
