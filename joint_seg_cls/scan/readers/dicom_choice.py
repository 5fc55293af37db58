"""Selection of one series per visit: by its description, then by its geometry."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan.readers.dicom_headers import Series, slice_positions_mm

_SAME_DIRECTION = 1e-3
#: Relative tolerance of slice distances around their median.
_UNEVEN = 0.2
_DERIVED = "DERIVED"
#: Modalities of an MR series; converters may write "other" or nothing.
_MODALITIES = ("MR", "OT", "")


@final
@dataclass(frozen=True)
class StackGeometry:
    """Requirements for a stack of images that covers a brain.

    Args:
        least_extent_mm: minimum extent of the stack along each axis.
        largest_voxel_mm: maximum distance between slices.
        largest_pixel_mm: maximum pixel size.
    """

    least_slices: int = 15
    least_extent_mm: float = 100.0
    largest_voxel_mm: float = 8.0
    largest_pixel_mm: float = 2.5

    def fault(self, series: Series) -> str | None:
        """Return why a series is not a stack of images through a brain, or None."""
        if any(len(p.position) != 3 or len(p.orientation) != 6 or len(p.spacing) != 2 for p in series.planes):
            return "its images have no position"
        if not _alike(series):
            return "its images differ in direction or size"
        positions = slice_positions_mm(series.planes)
        steps = np.diff(positions)
        if len(positions) < self.least_slices:
            return f"{len(positions)} slices are fewer than {self.least_slices}"
        step_mm = float(np.median(steps))
        if step_mm <= 0 or steps.min() < step_mm * (1 - _UNEVEN):
            return "several images have the same position"
        if steps.max() > step_mm * (1 + _UNEVEN):
            return "slices are missing"
        return self._size_fault(series, step_mm, len(positions))

    def _size_fault(self, series: Series, step_mm: float, slices: int) -> str | None:
        plane = series.planes[0]
        pixel_mm = max(plane.spacing)
        if step_mm > self.largest_voxel_mm + _SAME_DIRECTION or pixel_mm > self.largest_pixel_mm + _SAME_DIRECTION:
            return f"voxels of {pixel_mm:.1f} x {step_mm:.1f} mm are too large"
        extent_mm = min(step_mm * slices, *(n * mm for n, mm in zip(plane.sides, plane.spacing, strict=True)))
        if extent_mm < self.least_extent_mm:
            return f"{extent_mm:.0f} mm do not cover a brain"
        return None


@final
class SeriesChoice:
    """Selects one series of a visit for each column.

    Args:
        take: patterns for each column; one must match the description of a series, ignoring case.
        leave: patterns, none of which may match.
        leave_image_types: image types of images that were not acquired (reformatted, projected, ...).
        geometry: requirements for the stack.
    """

    def __init__(
        self,
        take: Mapping[str, Sequence[str]],
        leave: Sequence[str],
        leave_image_types: Sequence[str],
        geometry: StackGeometry,
    ) -> None:
        self._take = {column: _compiled(f"take.{column}", patterns) for column, patterns in take.items()}
        self._leave = _compiled("leave", leave)
        self._image_types = frozenset(word.upper() for word in leave_image_types)
        self._geometry = geometry

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns for which series are selected."""
        return tuple(self._take)

    def pick(self, column: str, visit: Sequence[Series]) -> tuple[Series | None, list[tuple[Series, str]]]:
        """Return the series for ``column``, and why each other matching series was not selected.

        Among several, prefer one that is not marked as derived, then the one with the smallest largest voxel side,
        then the smallest voxel, then the latest acquisition (a repetition replaces what it repeats).
        """
        fits, others = [], []
        for series in visit:
            if not any(pattern.search(series.description) for pattern in self._take[column]):
                continue
            fault = self.fault(series)
            if fault is None:
                fits.append(series)
            else:
                others.append((series, fault))
        fits.sort(key=_preference)
        others += [(series, "another series was preferred") for series in fits[1:]]
        return (fits[0] if fits else None), others

    def fault(self, series: Series) -> str | None:
        """Return why a series is excluded for all columns; None if it is not."""
        if series.text("Modality") not in _MODALITIES:
            return "it is not MR"
        if series.text("BurnedInAnnotation").upper() == "YES":
            return "it declares text burned into its images"
        for pattern in self._leave:
            if pattern.search(series.description):
                return f"its description matches {pattern.pattern!r} of leave="
        if kinds := sorted(self._image_types & set(series.image_type)):
            return f"its image type is {' and '.join(kinds)}"
        return self._geometry.fault(series)


def is_derived(series: Series) -> bool:
    """Return whether the series is marked as computed from others."""
    return _DERIVED in series.image_type


def _preference(series: Series) -> tuple:
    step_mm = float(np.median(np.diff(slice_positions_mm(series.planes))))
    sides_mm = (step_mm, *series.planes[0].spacing)
    return is_derived(series), round(max(sides_mm), 2), round(float(np.prod(sides_mm)), 2), -series.number


def _alike(series: Series) -> bool:
    first = series.planes[0]
    return all(
        plane.sides == first.sides
        and np.allclose(plane.orientation, first.orientation, atol=_SAME_DIRECTION)
        and np.allclose(plane.spacing, first.spacing, atol=_SAME_DIRECTION)
        for plane in series.planes
    )


def _compiled(key: str, patterns: Sequence[str]) -> list[re.Pattern[str]]:
    try:
        return [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    except re.error as error:
        raise ConfigError(
            key, expected="regular expressions", found=str(error), remedy="correct the pattern"
        ) from error
