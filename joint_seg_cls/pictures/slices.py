"""Choice of slices to draw, and their orientation on the page."""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Num, Shaped

Plane = Literal["axial", "coronal", "sagittal"]
#: The array axis (RAS+) perpendicular to a plane.
_CUT: dict[Plane, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
#: Labels at the left and right of a slice, which is viewed along +z, +y, or from the left.
SIDES: dict[Plane, tuple[str, str]] = {"axial": ("L", "R"), "coronal": ("L", "R"), "sagittal": ("P", "A")}

#: Brightest value that is not drawn as white, in medians of the brain; lesions of FLAIR reach 1.3 to 2.2.
_WHITEST = 2.0


@final
@dataclass(frozen=True)
class Slice:
    """One slice of a volume with RAS+ axes: the ``index``-th voxel layer across ``plane``."""

    plane: Plane
    index: int

    def of(self, volume: Shaped[np.ndarray, "x y z"]) -> Shaped[np.ndarray, "row column"]:
        """Return the slice; rows point upwards (superior or anterior), columns to the right of the page.

        Neurological convention: the left of the brain is at the left of the page, and labelled.
        """
        return np.take(volume, self.index, axis=_CUT[self.plane]).T

    def aspect(self, spacing_mm: tuple[float, float, float]) -> float:
        """Return the height of a pixel divided by its width."""
        across, up = (spacing_mm[axis] for axis in range(3) if axis != _CUT[self.plane])
        return up / across


def most_lesion(mask: Bool[np.ndarray, "x y z"], count: int, plane: Plane = "axial") -> list[Slice]:
    """Choose ``count`` distant slices with much lesion, in ascending order.

    Greedy by lesion area, with at least a twentieth of the volume between two slices. If lesions give fewer slices
    (an empty mask gives none), slices spread evenly over the middle half are added.
    """
    axis = _CUT[plane]
    depth = mask.shape[axis]
    area = mask.sum(axis=tuple(a for a in range(3) if a != axis))
    apart = max(depth // 20, 1)
    chosen: list[int] = []
    for index in np.argsort(-area, kind="stable"):
        if len(chosen) == count or area[index] == 0:
            break
        if all(abs(int(index) - other) >= apart for other in chosen):
            chosen.append(int(index))
    return _filled(chosen, count, depth, plane)


def spread(shape: tuple[int, ...], count: int, plane: Plane = "axial") -> list[Slice]:
    """Choose ``count`` slices evenly over the middle half of a volume; a single one is the centre."""
    return _filled([], count, shape[_CUT[plane]], plane)


def _filled(chosen: list[int], count: int, depth: int, plane: Plane) -> list[Slice]:
    missing = min(count, depth) - len(chosen)
    if missing > 0:
        wanted = depth / 4 + (np.arange(missing) + 0.5) / missing * depth / 2
        for position in wanted:
            free = [index for index in range(depth) if index not in chosen]
            chosen.append(min(free, key=lambda index: (abs(index + 0.5 - position), index)))
    return [Slice(plane, index) for index in sorted(chosen)]


def window(volume: Num[np.ndarray, "x y z"], low: float = 1.0, high: float = 99.5) -> tuple[float, float]:
    """Return the values drawn as black and white: two percentiles of the foreground.

    The background is the most frequent value of the volume's corners (0 in a skull-stripped scan). White is at most
    :data:`_WHITEST` medians of the volume's centre, unless values are centred on 0: bright fat in the scalp would else
    darken the brain.
    """
    corners = volume[:: max(volume.shape[0] - 1, 1), :: max(volume.shape[1] - 1, 1), :: max(volume.shape[2] - 1, 1)]
    values, counts = np.unique(corners, return_counts=True)
    background = values[counts.argmax()]
    inside = volume[volume != background]
    if inside.size == 0:
        return 0.0, 1.0
    black, white = (float(v) for v in np.percentile(inside, (low, high)))
    centre = volume[tuple(slice(side // 4, side - side // 4) for side in volume.shape)]
    tissue = centre[centre != background]
    middle = float(np.median(tissue)) if tissue.size else 0.0
    if middle > 0 and black > -0.1 * middle:
        white = min(white, _WHITEST * middle)
    return (black, white) if white > black else (black, black + 1.0)
