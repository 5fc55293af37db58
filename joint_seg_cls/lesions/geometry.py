"""Boxes, tubes and components on a volume with the axes of MNI space."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.scan.grid import Grid

#: A point in MNI mm.
Position = tuple[int | float, int | float, int | float]
#: A range in MNI mm.
Span = tuple[int | float, int | float]
#: Ranges along x, y and z; x is the distance from the midline, so a box has two mirrored halves.
Box = tuple[Span, Span, Span]


def component(mask: np.ndarray, grid: Grid, positions_mm: list[Position]) -> Bool[np.ndarray, "x y z"]:
    """Keep the face-connected components of ``mask`` that contain one of the positions."""
    labels, _ = ndimage.label(mask)
    wanted = {int(labels[index_of(grid, position)]) for position in positions_mm} - {0}
    return np.isin(labels, list(wanted))


def index_of(grid: Grid, position_mm: Position) -> tuple[int, int, int]:
    """Return the voxel that contains a position."""
    x, y, z = np.round(np.linalg.solve(grid.affine, [*position_mm, 1.0])[:3]).astype(int)
    return int(x), int(y), int(z)


def millimetres(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and z of the voxels' centres, shaped to broadcast over a volume."""
    x, y, z = (grid.affine[axis, 3] + grid.affine[axis, axis] * np.arange(grid.shape[axis]) for axis in range(3))
    return x[:, None, None], y[None, :, None], z[None, None, :]


def in_boxes(grid: Grid, boxes: tuple[Box, ...]) -> Bool[np.ndarray, "x y z"]:
    """Return the voxels with centres in one of the boxes or their mirror images."""
    x, y, z = millimetres(grid)
    inside = np.zeros(grid.shape, dtype=bool)
    for box in boxes:
        within = [(low <= along) & (along <= high) for along, (low, high) in zip((np.abs(x), y, z), box, strict=True)]
        inside |= within[0] & within[1] & within[2]
    return inside


def along(grid: Grid, course: tuple[Position, ...], radius_mm: float) -> Bool[np.ndarray, "x y z"]:
    """Return the voxels within ``radius_mm`` of a polyline or its mirror image."""
    inside = np.zeros(grid.shape, dtype=bool)
    for side in (1, -1):
        points = np.array(course) * (side, 1, 1)
        for start, stop in pairwise(points):
            low = np.floor(np.minimum(start, stop) - radius_mm - grid.affine[:3, 3]).astype(int)
            high = np.ceil(np.maximum(start, stop) + radius_mm - grid.affine[:3, 3]).astype(int) + 1
            part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            centres = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in part), indexing="ij"), axis=-1)
            offset = centres + grid.affine[:3, 3] - start
            along = np.clip(offset @ (stop - start) / np.sum((stop - start) ** 2), 0, 1)
            inside[part] |= np.linalg.norm(offset - along[..., None] * (stop - start), axis=-1) <= radius_mm
    return inside


def distance_mm_to(mask: np.ndarray) -> Float[np.ndarray, "x y z"]:
    """Return the distance of each voxel to the nearest voxel of ``mask``, for voxels of 1 mm."""
    return ndimage.distance_transform_edt(~mask).astype(np.float32)
