"""Whether a scan whose background is exactly 0 still shows the skull, judged along lines from outside to inside.

With skull, a line crosses the scalp (bright), the skull and the fluid under it (dark) and the brain (bright). Without,
it meets the brain at once, or after a dark margin. Volume is no guide: a small head is no larger than a large brain.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.scan import Grid

#: A brain is no larger; the fixed template brain holds 1,880 mL.
LARGEST_BRAIN_ML = 2500.0
#: A head is no smaller, even if only its top is scanned.
_SMALLEST_HEAD_ML = 400.0
#: A larger share of lines is a skull, a smaller share is none; between them it is not clear. Of 225 versions of nine
#: real and sixteen simulated heads (cropped, in thick slices, scaled; brains with masks up to 4 mm too large), 51 of 53
#: with skull gave 0.3 or more, the others 0.23; 171 of 172 without gave 0.2 or less, the other 0.21.
_SKULL_FROM, _STRIPPED_UNTIL = 0.3, 0.2
#: Slices, and lines in each, that are looked at. The ends are left out: there the skull is cut tangentially.
_SLICES, _LINES, _ENDS = 20, 72, 0.1
#: Slices with a smaller share of the largest slice's area are left out too.
_LEAST_AREA = 0.3
#: Slices at least this much thicker than the pixels are judged across their own axis.
_ANISOTROPIC = 1.5
#: Brightness as a share of the median of what is not 0.
_BRIGHT, _DARK = 0.5, 0.4
#: Where the scalp begins, how thick the dark layer is at least, how deep it lies at most, and how far under it the
#: brain begins; all in steps of 1 mm from the outside.
_SCALP, _THICK, _DEEP, _UNDER, _DEPTH = 14, 3, 32, 12, 45
#: The median of so many neighbouring lines keeps a dark shell and loses sulci, which are narrower.
_NEIGHBOURS = 7
#: Fewer lines than this that begin in the background are no evidence.
_LEAST_LINES = 50

Skull = Literal["absent", "unclear", "present"]


def judge_skull(image: Float[np.ndarray, "x y z"], grid: Grid) -> tuple[Skull, Bool[np.ndarray, "x y z"]]:
    """Return whether a scan shows the skull, and what is not 0 of it with holes filled."""
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
    """Return the share of lines with a bright layer outside a dark one outside a bright one.

    Lines that begin at the edge of the image do not count; NaN where too few others are left.
    """
    values = image[image != 0]
    if not values.size:
        return float("nan")
    darkest = min(float(np.quantile(values, 0.01)), 0.0)  # below 0 in scans that were standardised before
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
    """Yield each slice's values from the outermost that is not 0 inwards, in steps of 1 mm, smoothed over angles."""
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
