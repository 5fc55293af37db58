"""N4 bias-field correction (Tustison 2010 [1]), estimated on a subset of voxels and applied to all.

[1] https://doi.org/10.1109/TMI.2010.2046908
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import ndimage

from joint_seg_cls.errors import require_valid
from joint_seg_cls.preprocess.bias_field import Corrected
from joint_seg_cls.scan import Grid

#: Maximum distance of sampled voxels for any shrink factor: the finest spline has knots about 30 mm
#: apart, and with fewer voxels its ends are unstable.
COARSEST_MM = 4.0
#: Minimum number of voxels that determine a field.
FEWEST_VOXELS = 100
#: Spread of the logarithms below which an image is constant.
_FLAT = 1e-6
#: Control points per axis of a cubic spline with one segment.
_FIRST_CONTROL_POINTS = 4


@final
class N4:
    r"""Divide by the field :math:`f` that gives the sharpest histogram of :math:`\log I - \log f` in the brain, [1].

    :math:`\log f` is a cubic B-spline over the whole volume with 1, 2, 4, ... segments along each axis, one level after
    the other. As in the tutorial of SimpleITK, the field is estimated on every ``shrink_factor``-th voxel and evaluated
    on all. Voxels are sampled, not averaged: averaging reduces noise, which changes the field that N4 finds.
    The median of the field inside the brain is 1, and its values outside do not exceed those inside.
    Departs from [1]: all levels but the last use voxels twice as far apart; ``shrink_factor`` applies to axes with
    small voxels, so that sampled voxels are at most 4 mm apart if the scan's own are; voxels at or below 0, which
    have no logarithm, are excluded from the estimate.

    Deterministic: one thread, no random numbers.

    Args:
        shrink_factor: sampling step along each axis.
        iterations: maximum number of iterations of each level, first level first.
        convergence: a level ends when the field changes by less than this.

    Raises:
        ConfigError: a shrink factor below 1; no level, or a level without iterations; a convergence of 0 or less.
    """

    def __init__(
        self, shrink_factor: int = 4, iterations: Sequence[int] = (50, 50, 50, 50), convergence: int | float = 1e-3
    ) -> None:
        are_levels = len(iterations) and min(iterations) >= 1
        where = "preprocess.bias_field"
        require_valid(f"{where}.shrink_factor", shrink_factor >= 1, "an integer of at least 1", shrink_factor)
        require_valid(f"{where}.iterations", are_levels, "numbers from 1, one per level", list(iterations))
        require_valid(f"{where}.convergence", convergence > 0, "a number above 0", convergence)
        self.shrink_factor = shrink_factor
        self.iterations = tuple(iterations)
        self.convergence = convergence

    def __call__(self, image: Float[np.ndarray, "x y z"], grid: Grid, brain: Bool[np.ndarray, "x y z"]) -> Corrected:
        """Return ``image`` without its bias field, which is estimated inside ``brain``."""
        usable = brain & (image > 0)
        log_field = self._log_field(image, grid, usable)
        if log_field is None:
            return Corrected(image.astype(np.float32, copy=False), 1.0)
        inside = log_field[usable]
        low, middle, high = (float(value) for value in np.percentile(inside, (1, 50, 99)))
        np.clip(log_field, inside.min(), inside.max(), out=log_field)
        log_field -= np.float32(middle)
        np.exp(log_field, out=log_field)
        return Corrected(np.divide(image, log_field, dtype=np.float32), float(np.exp(high - low)))

    def _log_field(
        self, image: Float[np.ndarray, "x y z"], grid: Grid, usable: Bool[np.ndarray, "x y z"]
    ) -> Float32[np.ndarray, "x y z"] | None:
        """Return the logarithm of the field at every voxel; None if it cannot be estimated."""
        *first, last = self.iterations
        fine = _pick(usable, grid.spacing_mm, self.shrink_factor, COARSEST_MM)
        values, mask = image[fine.slices].astype(np.float32), usable[fine.slices]
        if mask.sum() < FEWEST_VOXELS or np.ptp(np.log(values[mask])) < _FLAT:
            return None
        found = np.zeros(mask.shape, dtype=np.float32)
        if first:
            coarse = _pick(usable, grid.spacing_mm, 2 * self.shrink_factor, 2 * COARSEST_MM)
            early = self._estimate(image[coarse.slices], usable[coarse.slices], coarse.spacing_mm(grid), first, 1)
            found += ndimage.affine_transform(
                early, fine.step / coarse.step, (fine.start - coarse.start) / coarse.step, found.shape,
                order=1, mode="nearest",
            )  # fmt: skip
        found += self._estimate(values / np.exp(found), mask, fine.spacing_mm(grid), [last], 2 ** len(first))
        return ndimage.affine_transform(
            found, 1 / fine.step, -fine.start / fine.step, image.shape, order=1, mode="nearest"
        )

    def _estimate(
        self,
        image: Float[np.ndarray, "x y z"],
        mask: Bool[np.ndarray, "x y z"],
        spacing_mm: Sequence[float],
        iterations: Sequence[int],
        pieces: int,
    ) -> Float32[np.ndarray, "x y z"]:
        import SimpleITK

        n4 = SimpleITK.N4BiasFieldCorrectionImageFilter()
        n4.SetNumberOfThreads(1)
        n4.SetMaximumNumberOfIterations([int(count) for count in iterations])
        n4.SetConvergenceThreshold(self.convergence)
        n4.SetNumberOfControlPoints([_FIRST_CONTROL_POINTS - 1 + pieces] * 3)
        volumes = []
        for array in (np.where(mask, image, 0).astype(np.float32), mask.astype(np.uint8)):
            volumes.append(SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T)))  # ITK's axes are z, y, x
            volumes[-1].SetSpacing(tuple(spacing_mm))
        n4.Execute(*volumes)
        return np.asarray(SimpleITK.GetArrayFromImage(n4.GetLogBiasFieldAsImage(volumes[0])).T, dtype=np.float32)


@final
@dataclass(frozen=True, eq=False)
class _Picked:
    """Every ``step``-th voxel along each axis, from ``start``."""

    start: Int[np.ndarray, "3"]
    step: Int[np.ndarray, "3"]

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(int(start), None, int(step)) for start, step in zip(self.start, self.step, strict=True))

    def spacing_mm(self, grid: Grid) -> list[float]:
        return [float(step) * length for step, length in zip(self.step, grid.spacing_mm, strict=True)]


def _pick(usable: Bool[np.ndarray, "x y z"], spacing_mm: Sequence[float], most: int, coarsest_mm: float) -> _Picked:
    """Sample with the requested step, or a smaller one if needed to determine a field."""
    step = np.clip(np.round(coarsest_mm / np.array(spacing_mm)), 1, most).astype(int)
    step = np.minimum(step, np.maximum(np.array(usable.shape) // _FIRST_CONTROL_POINTS, 1))
    while True:
        picked = _Picked(step // 2, step)
        if (step == 1).all() or usable[picked.slices].sum() >= FEWEST_VOXELS:
            return picked
        step = np.maximum(step // 2, 1)
