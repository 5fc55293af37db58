"""Detection of the skull in a scan with a background of exactly 0, along lines from outside to inside.

With skull, a line crosses scalp (bright), skull and fluid (dark) and brain (bright). Without skull, it
reaches the brain at once or after a dark margin. Volume is not reliable: a small head may be as small as a large brain.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.scan import Grid

#: Maximum volume of a brain; the template brain has 1,880 mL.
LARGEST_BRAIN_ML = 2500.0
#: Minimum volume of a head, even if only its top is scanned.
_SMALLEST_HEAD_ML = 400.0
#: Fractions of lines: above the first, skull; below the second, no skull; unclear between them. Of 225 versions of nine
#: real and sixteen simulated heads (cropped, in thick slices, scaled; brains with masks up to 4 mm too large), 51 of 53
#: with skull had at least 0.3 and the others 0.23; 171 of 172 without had at most 0.2 and the other 0.21.
_SKULL_FROM, _STRIPPED_UNTIL = 0.3, 0.2
#: Number of slices, and of lines in each. The end slices are excluded, because they cut the skull tangentially.
_SLICES, _LINES, _ENDS = 20, 72, 0.1
#: Slices with a smaller area, relative to the largest, are excluded too.
_LEAST_AREA = 0.3
#: If slices are thicker than the pixels by this factor, lines lie in the plane of the slices.
_ANISOTROPIC = 1.5
#: Intensity thresholds relative to the median of nonzero voxels.
_BRIGHT, _DARK = 0.5, 0.4
#: Depth at which the scalp begins, minimum thickness and maximum depth of the dark layer, and how far below it the
#: brain begins, in steps of 1 mm from the outside.
_SCALP, _THICK, _DEEP, _UNDER, _DEPTH = 14, 3, 32, 12, 45
#: The median over this many neighbouring lines keeps a dark shell and removes sulci, which are narrower.
_NEIGHBOURS = 7
#: Minimum number of lines that begin in the background.
_LEAST_LINES = 50

Skull = Literal["absent", "unclear", "present"]


def detect_skull(image: Float[np.ndarray, "x y z"], grid: Grid) -> tuple[Skull, Bool[np.ndarray, "x y z"]]:
    """Return whether a scan includes the skull, and its nonzero voxels with holes filled."""
    tissue = ndimage.binary_fill_holes(image != 0)
    volume_ml = float(tissue.sum()) * grid.voxel_ml
    if tissue.all() or volume_ml > LARGEST_BRAIN_ML:
        return "present", tissue
    share = skull_share(image, grid)
    if share >= _SKULL_FROM:
        return "present", tissue
    is_small = np.isnan(share) and volume_ml < _SMALLEST_HEAD_ML
    return ("absent" if is_small or share <= _STRIPPED_UNTIL else "unclear"), tissue


def skull_share(image: Float[np.ndarray, "x y z"], grid: Grid) -> float:
    """Return the fraction of lines with a bright, a dark and a bright layer from outside to inside.

    Lines that begin at the edge of the image are excluded; NaN if too few others are left.
    """
    values = image[image != 0]
    if not values.size:
        return float("nan")
    darkest = min(float(np.quantile(values, 0.01)), 0.0)  # below 0 in standardised scans
    level = float(np.median(values)) - darkest
    lines = np.concatenate(list(_lines(image, grid)))
    if len(lines) < _LEAST_LINES or level <= 0:
        return float("nan")
    relative = np.where(lines == 0, 0, (lines - darkest) / level)
    return float(_has_skull(relative > _BRIGHT, relative < _DARK).mean())


def _has_skull(bright: Bool[np.ndarray, "n depth"], dark: Bool[np.ndarray, "n depth"]) -> Bool[np.ndarray, " n"]:
    first = np.where(bright.any(axis=1), bright.argmax(axis=1), _DEPTH)
    run, last = np.zeros(len(bright), dtype=int), np.full(len(bright), -_DEPTH)
    found = np.zeros(len(bright), dtype=bool)
    for step in range(1, _DEPTH):
        run = np.where(dark[:, step] & (step > first), run + 1, 0)
        last = np.where((run >= _THICK) & (step < _DEEP), step, last)
        found |= bright[:, step] & (step - last <= _UNDER)
    return found & (first <= _SCALP)


def _lines(image: Float[np.ndarray, "x y z"], grid: Grid) -> Iterator[Float[np.ndarray, "n depth"]]:
    """Yield the values of each slice from the outermost nonzero voxel inwards in steps of 1 mm, smoothed by angle."""
    spacing = np.array(grid.spacing_mm)
    upwards = int(np.abs(grid.affine[2, :3] / spacing).argmax())
    axis = int(spacing.argmax()) if spacing.max() > _ANISOTROPIC * np.sort(spacing)[1] else upwards
    slices, pixel_mm = np.moveaxis(image, axis, 0), np.delete(spacing, axis)
    areas = np.count_nonzero(slices, axis=(1, 2))
    large = np.flatnonzero(areas > _LEAST_AREA * areas.max())
    margin = _ENDS * (large[-1] - large[0])
    angles = np.linspace(0, 2 * np.pi, _LINES, endpoint=False)[:, None]
    radii = np.arange(0, float(np.linalg.norm(slices.shape[1:] * pixel_mm)))
    for number in np.unique(np.round(np.linspace(large[0] + margin, large[-1] - margin, _SLICES)).astype(int)):
        flat = slices[number]
        x, y = ndimage.center_of_mass(ndimage.binary_fill_holes(flat != 0))
        row = np.round(x + np.cos(angles) * radii / pixel_mm[0]).astype(int)
        column = np.round(y + np.sin(angles) * radii / pixel_mm[1]).astype(int)
        inside = (row >= 0) & (row < flat.shape[0]) & (column >= 0) & (column < flat.shape[1])
        values = np.where(inside, flat[np.where(inside, row, 0), np.where(inside, column, 0)], 0)
        outermost = len(radii) - 1 - (values[:, ::-1] != 0).argmax(axis=1)
        beyond = np.minimum(outermost + 2, len(radii) - 1)
        usable = (values != 0).any(axis=1) & (outermost >= _DEPTH) & inside[np.arange(_LINES), beyond]
        steps = outermost[usable, None] - np.arange(_DEPTH)
        lines = np.take_along_axis(values[usable], steps, axis=1).astype(np.float64)
        yield ndimage.median_filter(lines, (_NEIGHBOURS, 1), mode="wrap") if len(lines) else lines
