"""Masks: which voxels are set, and the position of a mask relative to its scan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.errors import ConfigError, ScanError, examples, require_choice
from joint_seg_cls.scan.grid import Grid, reorient
from joint_seg_cls.scan.header import VolumeHeader
from joint_seg_cls.scan.volume import read_volume

#: Tolerance for integer values of a mask (masks resampled by other tools may have 1.0000153).
MASK_ROUNDING = 1e-3
#: Mask value of programs that write bytes.
_BYTE = 255
#: A file with more distinct values is not a mask.
_MOST_VALUES = 20
#: Geometry of a mask: its own header, or the header of the scan (same shape required).
MaskGeometry = Literal["header", "scan"]
#: Value or values of lesion voxels in a mask; None if masks contain only 0 and 1.
LesionValue = int | float | Sequence[int | float] | None


def require_lesion_value(value: object) -> None:
    """Refuse a lesion value that is not a number or is the background.

    Raises:
        ConfigError: it is neither a nonzero number nor a list of them.
    """
    each = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if value is None or (each and all(type(one) in (int, float) and one for one in each)):
        return
    remedy = "set the value of lesion voxels, as in lesion_value=255 or lesion_value=[1,2]"
    raise ConfigError("lesion_value", expected="numbers other than 0", found=str(value), remedy=remedy)


def read_mask(
    path: str | Path,
    grid: Grid,
    *,
    of: Literal["lesion", "brain"] = "lesion",
    lesion_value: LesionValue = None,
    geometry: MaskGeometry = "header",
    other: Grid | None = None,
) -> Bool[np.ndarray, "x y z"]:
    """Read a binary mask ``of`` lesions or of the brain that belongs to a scan on ``grid``, in that scan's axes.

    A mask with differently ordered or flipped axes is reoriented if its voxels coincide with those of the scan.

    Args:
        of: what the mask marks.
        lesion_value: value or values of lesion voxels.
        geometry: whether to use the mask's own header or the scan's.
        other: grid of the scan by the unused form of its header, to explain a mismatch.

    Raises:
        ScanError: as :func:`read_volume`, :func:`place_mask` and :func:`binary`.
    """
    data, head = read_volume(path, remedy="export one mask file for each rater")
    own = place_mask(head, grid, geometry=geometry, other=other)
    return reorient(binary(path, data, of=of, lesion_value=lesion_value), own, grid)


def refuse_mask(path: str | Path, data: Float[np.ndarray, "x y z"]) -> None:
    """Refuse a mask or a label map that was given as a scan.

    Raises:
        ScanError: all values are integers, and at most 20 of them differ.
    """

    def is_mask(values: Float[np.ndarray, "..."]) -> bool:
        return len(np.unique(values)) <= _MOST_VALUES and not (values % 1).any()

    if is_mask(data.ravel()[:: max(data.size // 10_000, 1)]) and is_mask(data):  # a part is enough for most scans
        raise ScanError(
            path,
            expected="a scan with grey values",
            found=f"a mask of {len(np.unique(data))} different values",
            remedy="name the scan that the mask belongs to",
        )


def place_mask(head: VolumeHeader, grid: Grid, *, geometry: MaskGeometry = "header", other: Grid | None = None) -> Grid:
    """Return the grid of a mask.

    Raises:
        ScanError: it is not the grid of the scan: the shapes differ, or corners are more than half a voxel (at least
            0.5 mm) apart.
    """
    if geometry == "scan" and head.grid.shape == grid.shape:
        return grid
    tolerance_mm = max(0.5, min(grid.spacing_mm) / 2)
    if head.grid.like(grid).distance_mm(grid) <= tolerance_mm:
        return head.grid
    found, remedy = _misplaced(head, grid, other, tolerance_mm)
    expected = f"the grid of its scan (shape {grid.shape}, within {tolerance_mm:.2f} mm)"
    raise ScanError(head.path, expected=expected, found=found, remedy=remedy)


def _misplaced(head: VolumeHeader, grid: Grid, other: Grid | None, tolerance_mm: float) -> tuple[str, str]:
    """Return the mismatch between a mask and its scan, and the remedy."""
    resample = "resample the mask to its scan with nearest neighbours"
    take = "if it was drawn on this scan, use the scan's header with mask_geometry=scan"
    own = head.grid.like(grid)
    if own.shape != grid.shape:
        return f"shape {own.shape} in the scan's axes", resample
    apart = f"corners up to {own.distance_mm(grid):.2f} mm away"
    if head.grid.shape != grid.shape:
        return apart, resample
    for whose, one, another in (("mask", head.other, grid), ("scan", head.grid, other)):
        if one is not None and another is not None and one.like(another).distance_mm(another) <= tolerance_mm:
            return f"{apart}: they agree with the {whose}'s qform, but its sform is used", (
                f"correct the {whose}'s sform; {take}"
            )
    if head.form == "voxel sizes":
        return f"{apart}, in a header without sform and qform", f"export it again; {take}"
    return apart, f"{resample}; {take}"


def require_mask_geometry(value: object) -> MaskGeometry:
    """Return ``value`` if it is a :data:`MaskGeometry`.

    Raises:
        ConfigError: it is another value.
    """
    require_choice("mask_geometry", value, MaskGeometry)
    return "scan" if value == "scan" else "header"


def binary(
    path: str | Path,
    data: Float[np.ndarray, "x y z"],
    *,
    of: Literal["lesion", "brain"] = "lesion",
    lesion_value: LesionValue = None,
) -> Bool[np.ndarray, "x y z"]:
    """Return the voxels of a mask whose value is 1 or ``lesion_value``, within a tolerance of 0.001.

    With a ``lesion_value``, only the values listed count. A brain mask of 0 and 255 is binary; in a
    lesion mask, 255 may be one label of several, so the user is asked.

    Raises:
        ScanError: without a ``lesion_value``, a value is neither 0 nor 1; with one, a value is not an integer, or
            none of the values listed is present.
    """
    whole = np.round(data)
    values = np.unique(whole)
    is_whole = bool((np.abs(data - whole) <= MASK_ROUNDING).all())
    is_byte = of == "brain" and _BYTE in values and set(values.tolist()) <= {0, _BYTE}
    asked_for = (_BYTE if is_byte else 1) if lesion_value is None else lesion_value
    wanted = np.atleast_1d(np.asarray(asked_for, dtype=np.float64))
    others = values[~np.isin(values, (0, *wanted))]
    if not is_whole or (others.size and (lesion_value is None or not np.isin(values, wanted).any())):
        odd = values if is_whole else np.unique(data)
        asked = "" if lesion_value is None else f" (lesion_value={_listed(wanted)})"
        remedy = f"write {of} voxels as 1 and all others as 0"
        every = np.union1d(values[values != 0], [] if lesion_value is None else wanted)
        raise ScanError(
            path,
            expected=f"a mask of 0 and {' and '.join(f'{v:g}' for v in wanted)}{asked}",
            found=f"the values {examples([f'{v:g}' for v in odd], 6)}",
            remedy=f"if all of them mark lesions, set lesion_value={_listed(every)}; if only some do, list "
            f"those; if none does, {remedy}"
            if is_whole and of == "lesion" and every.size <= _MOST_VALUES
            else remedy,
        )
    return np.isin(whole, wanted)


def _listed(values: np.ndarray) -> str:
    text = ",".join(f"{value:.0f}" if value == np.round(value) else f"{value:g}" for value in values)
    return text if values.size == 1 else f"[{text}]"
