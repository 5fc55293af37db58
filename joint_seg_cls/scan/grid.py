"""Voxel grids in millimetres, and resampling from one grid to another.

Contract: array axes are (x, y, z); an affine maps a voxel index to the millimetre position of the voxel CENTRE in RAS+
world space (NIfTI). Sizes are in voxels, lengths in millimetres. The grids of one scan (native and model) share
their axes up to permutation and flip, so a map between them is a scale and a shift along each axis with an exact
inverse (:func:`resample`, :class:`Geometry`). Grids of different scans may have any angle (:func:`resample_oblique`).
"""

from dataclasses import dataclass
from typing import final

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage


@final
@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels in space: ``shape`` voxels along each axis, ``affine`` from voxel index to millimetres."""

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along each axis."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def axes(self) -> str:
        """Direction of each axis, such as ``LPS``."""
        return "".join(str(code) for code in nib.aff2axcodes(self.affine))

    def canonical(self) -> "Grid":
        """Return the same voxels with the axes reordered and flipped to the nearest RAS+."""
        return Grid(*_reoriented(self, np.eye(4)))

    def like(self, other: "Grid") -> "Grid":
        """Return the same voxels with the axes ordered and flipped as in ``other``."""
        return Grid(*_reoriented(self, other.affine))

    def cropped(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> "Grid":
        """Return the part from voxel ``start`` to ``stop`` (exclusive); negative starts enlarge the grid."""
        shift = np.eye(4)
        shift[:3, 3] = start
        x, y, z = (int(b - a) for a, b in zip(start, stop, strict=True))
        return Grid((x, y, z), self.affine @ shift)

    def resized(self, shape: tuple[int, int, int]) -> "Grid":
        """Return a grid of ``shape`` voxels over the same field of view (outer edges, not centres, coincide)."""
        scale = np.divide(self.shape, shape)
        change = np.diag([*scale, 1.0])
        change[:3, 3] = scale / 2 - 0.5
        return Grid(shape, self.affine @ change)

    def distance_mm(self, other: "Grid") -> float:
        """Return the largest distance between corresponding corners, infinite if the shapes differ."""
        if self.shape != other.shape:
            return float("inf")
        corners = np.array(np.meshgrid(*([0, n - 1] for n in self.shape), [1.0], indexing="ij")).reshape(4, -1)
        return float(np.linalg.norm(((self.affine - other.affine) @ corners)[:3], axis=0).max())

    def to_json(self) -> dict:
        """Return the grid as plain lists."""
        return {"shape": list(self.shape), "affine": self.affine.tolist()}

    @classmethod
    def from_json(cls, record: dict) -> "Grid":
        """Return the grid from the output of :meth:`to_json`."""
        x, y, z = record["shape"]
        return cls((x, y, z), np.array(record["affine"], dtype=np.float64))


def _turn(source: Float[np.ndarray, "4 4"], target: Float[np.ndarray, "4 4"]) -> np.ndarray:
    """Return the axis of ``target`` nearest to each axis of ``source``, and its sign, as a nibabel orientation.

    Axes are compared with each other, not with RAS+: near 45 degrees, two grids that differ by rounding only
    may have different nearest RAS+ axes.
    """
    directions = np.eye(4)
    directions[:3, :3] = target[:3, :3] / np.linalg.norm(target[:3, :3], axis=0)
    return nib.io_orientation(np.linalg.solve(directions, source))


def _reoriented(grid: Grid, target: Float[np.ndarray, "4 4"]) -> tuple[tuple[int, int, int], np.ndarray]:
    turn = _turn(grid.affine, target)
    x, y, z = (grid.shape[int(np.flatnonzero(turn[:, 0] == axis)[0])] for axis in range(3))
    return (x, y, z), grid.affine @ nib.orientations.inv_ornt_aff(turn, grid.shape)


def reorient(array: Shaped[np.ndarray, "x y z"], source: Grid, target: Grid) -> Shaped[np.ndarray, "X Y Z"]:
    """Reorder and flip the axes of ``array`` from those of ``source`` to those of ``target``; values are unchanged."""
    return nib.apply_orientation(array, _turn(source.affine, target.affine))


def resample(
    array: Shaped[np.ndarray, "x y z"], source: Grid, target: Grid, *, linear: bool
) -> Shaped[np.ndarray, "X Y Z"]:
    """Resample ``array`` from ``source`` to ``target``: linear or nearest, zero outside the source's field of view.

    Both grids must have the same axes up to permutation and flip (see the contract of the module). Between the
    outermost voxel centres and the edge of the grid, the outermost value is used.
    """
    array = reorient(array, source, target)
    step = np.linalg.solve(source.like(target).affine, target.affine)
    scale, offset = np.diag(step)[:3], step[:3, 3]
    off_axis = np.abs(step[:3, :3] - np.diag(scale)).max()
    if off_axis > 1e-4:
        raise ValueError(f"grids are rotated against each other (off-axis step {off_axis:.3g}); register them first")
    if np.allclose(scale, 1, atol=1e-6) and np.allclose(offset, np.round(offset), atol=1e-4):
        return cropped_or_padded(array, np.round(offset).astype(int), target.shape)
    dtype = np.float32 if linear else array.dtype
    resampled = ndimage.affine_transform(
        array.astype(dtype, copy=False), scale, offset, target.shape, order=int(linear), mode="nearest"
    )
    for axis in range(3):
        position = offset[axis] + scale[axis] * np.arange(target.shape[axis])
        outside = (position < -0.5 - 1e-6) | (position > array.shape[axis] - 0.5 + 1e-6)
        np.moveaxis(resampled, axis, 0)[outside] = 0
    return resampled


def resample_oblique(
    array: Shaped[np.ndarray, "x y z"], source: Grid, target: Grid, move: Float[np.ndarray, "4 4"], *, linear: bool
) -> tuple[Shaped[np.ndarray, "X Y Z"], Bool[np.ndarray, "X Y Z"]]:
    """Resample ``array`` to a ``target`` at any angle; also return the voxels covered by ``source`` (others are 0).

    Args:
        array: values on ``source``.
        move: maps millimetres in the space of ``target`` to those of ``source``; the identity if the headers agree.
        linear: linear interpolation; otherwise nearest neighbour.
    """
    step = np.linalg.solve(source.affine, move @ target.affine)
    dtype = np.float32 if linear else array.dtype
    values = ndimage.affine_transform(
        array.astype(dtype, copy=False), step[:3, :3], step[:3, 3], target.shape, order=int(linear), mode="nearest"
    )
    x, y, z = (np.arange(side, dtype=np.float64) for side in target.shape)
    covered = np.ones(target.shape, dtype=bool)
    for axis in range(3):
        a, b, c, shift = step[axis]
        position = a * x[:, None, None] + b * y[:, None] + c * z + shift
        covered &= (position >= -0.5 - 1e-6) & (position <= array.shape[axis] - 0.5 + 1e-6)
    values[~covered] = 0
    return values, covered


def bounding_box(mask: Bool[np.ndarray, "x y z"], margin: int = 0) -> tuple[slice, slice, slice]:
    """Return the smallest box around a mask, with a margin of up to ``margin`` voxels; of an empty mask the whole."""
    found = ndimage.find_objects(mask.astype(np.uint8)) or [tuple(slice(0, side) for side in mask.shape)]
    x, y, z = (
        slice(max(part.start - margin, 0), min(part.stop + margin, side))
        for part, side in zip(found[0], mask.shape, strict=True)
    )
    return x, y, z


def cropped_or_padded(
    array: Shaped[np.ndarray, "x y z"], start: Int[np.ndarray, "3"], shape: tuple[int, ...]
) -> Shaped[np.ndarray, "X Y Z"]:
    """Return the ``shape`` voxels from voxel ``start`` of an array, with zeros outside it."""
    result = np.zeros(shape, dtype=array.dtype)
    low = np.maximum(start, 0)
    high = np.minimum(start + np.array(shape), array.shape)
    if (high > low).all():
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        there = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        result[there] = array[here]
    return result


@final
@dataclass(frozen=True, eq=False)
class Geometry:
    """Position of the network's grid (``model``) relative to the scan's own grid (``native``)."""

    native: Grid
    model: Grid

    def to_model(self, array: Shaped[np.ndarray, "x y z"], *, linear: bool) -> Shaped[np.ndarray, "X Y Z"]:
        """Resample an array from native to model space."""
        return resample(array, self.native, self.model, linear=linear)

    def to_native(self, array: Shaped[np.ndarray, "x y z"], *, linear: bool) -> Shaped[np.ndarray, "X Y Z"]:
        """Resample an array from model to native space; voxels outside the crop are zero."""
        return resample(array, self.model, self.native, linear=linear)

    @property
    def cropped_share(self) -> float:
        """Fraction of the scan's volume outside the network's grid, in [0, 1]."""
        own = self.native.like(self.model)
        step = np.linalg.solve(own.affine, self.model.affine)
        scale, offset = np.diag(step)[:3], step[:3, 3]
        low = np.maximum(offset - scale / 2, -0.5)
        high = np.minimum(offset + scale * (np.array(self.model.shape) - 0.5), np.array(own.shape) - 0.5)
        return float(1 - np.prod(np.maximum(high - low, 0) / own.shape))

    def to_json(self) -> dict:
        """Return both grids as plain lists."""
        return {"native": self.native.to_json(), "model": self.model.to_json()}

    @classmethod
    def from_json(cls, record: dict) -> "Geometry":
        """Return the geometry from the output of :meth:`to_json`."""
        return cls(Grid.from_json(record["native"]), Grid.from_json(record["model"]))
