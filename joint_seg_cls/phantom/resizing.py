"""Resizing volumes along an axis by linear interpolation."""

import numpy as np
from jaxtyping import Float32


def stretched(
    volume: Float32[np.ndarray, "x y z"], axis: int, size: int, *, corners: bool = False, nearest: bool = False
) -> Float32[np.ndarray, "X Y Z"]:
    """Return a volume with ``size`` voxels along ``axis`` over the same field of view.

    Args:
        corners: align the centres of the outermost voxels instead of their edges.
    """
    before = volume.shape[axis]
    if before == size:
        return volume
    if corners:
        where = np.linspace(0, before - 1, size)
    else:
        where = np.clip((np.arange(size) + 0.5) * before / size - 0.5, 0, before - 1)
    if nearest:
        return volume.take(np.round(where).astype(int), axis)
    low = np.minimum(where.astype(int), max(before - 2, 0))
    part = (where - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
    below = volume.take(low, axis)
    below += part * (volume.take(np.minimum(low + 1, before - 1), axis) - below)
    return below


def interpolated(volume: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """Return a volume at fractional ``positions`` along ``axis``, interpolated linearly."""
    low = np.minimum(positions.astype(int), volume.shape[axis] - 2)
    part = (positions - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
    return volume.take(low, axis) * (1 - part) + volume.take(low + 1, axis) * part


def resized(volume: Float32[np.ndarray, "x y z"], shape: tuple[int, ...]) -> Float32[np.ndarray, "X Y Z"]:
    """Return a volume of ``shape`` voxels over the same field of view."""
    for axis in np.argsort(np.divide(shape, volume.shape)).tolist():
        volume = stretched(volume, axis, shape[axis])
    return volume
