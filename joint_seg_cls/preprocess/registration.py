"""Resampling the modalities of one visit to the grid of the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32

from joint_seg_cls.errors import ScanError, require_valid
from joint_seg_cls.preprocess.itk import itk_image, millimetre_matrix, one_thread
from joint_seg_cls.scan import Grid, Scan, resample_oblique

if TYPE_CHECKING:
    import SimpleITK

#: Grids with corners this close are equal; rounding of float32 headers is smaller.
SAME_GRID_MM = 1e-3


@final
@dataclass(frozen=True, eq=False)
class Registered:
    """A modality on the grid of the first.

    Attributes:
        data: its values; 0 outside its field of view.
        covered: voxels inside its field of view.
        move: maps millimetres of the first modality to those of this one.
        how: ``same grid``, ``header`` or ``rigid``.
    """

    data: Float32[np.ndarray, "x y z"]
    covered: Bool[np.ndarray, "x y z"]
    move: Float[np.ndarray, "4 4"]
    how: str

    @property
    def rotation_degrees(self) -> float:
        """Rotation angle of this modality."""
        cosine = (np.trace(self.move[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def shift_mm(self, grid: Grid) -> float:
        """Return the shift of the centre of ``grid``."""
        centre = grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1.0]
        return float(np.linalg.norm((self.move @ centre - centre)[:3]))


@runtime_checkable
class Registration(Protocol):
    """Resamples a modality to the grid of another."""

    def __call__(self, moving: Scan, fixed: Scan) -> Registered:
        """Return ``moving`` on the grid of ``fixed``."""
        ...


@final
class SameGrid:
    """Use modalities unchanged, and refuse those on another grid.

    Raises:
        ScanError: corners of the grids are more than half a voxel apart.
    """

    def __call__(self, moving: Scan, fixed: Scan) -> Registered:
        """Return ``moving`` unchanged."""
        if moving.grid.distance_mm(fixed.grid) > min(fixed.grid.spacing_mm) / 2:
            raise ScanError(
                moving.path,
                expected=f"the grid of {fixed.path.name} (shape {fixed.grid.shape})",
                found=f"another (shape {moving.grid.shape})",
                remedy="resample it to the first modality, or in jsc prepare use preprocess/registration=by_header",
            )
        return _as_it_is(moving)


@final
class ByHeader:
    """Resample modalities by their headers (linear); correct if the patient did not move.

    Raises:
        ScanError: the modality does not overlap the first.
    """

    def __call__(self, moving: Scan, fixed: Scan) -> Registered:
        """Return ``moving`` on the grid of ``fixed``."""
        return _moved(moving, fixed, np.eye(4), "header")


@final
class Rigid:
    """Rigid registration to the first modality by mutual information, then linear resampling.

    Mattes' mutual information, regular-step gradient descent in six parameters, coarse to fine [1], starting from the
    headers or from aligned centres of mass, whichever fits better. Deterministic: one thread and a fixed seed.

    Args:
        shrink: downsampling factors of both scans, one per level.
        samples: approximate number of voxels of the first modality used per level.
        bins: bins of the joint histogram.
        iterations: maximum per level.
        seed: seed of the voxel sampling.

    Raises:
        ConfigError: an argument out of range.
        ScanError: the scans do not overlap enough to be compared, or do not overlap after registration.

    [1] Lowekamp et al. 2013, https://doi.org/10.3389/fninf.2013.00045
    """

    def __init__(
        self,
        shrink: Sequence[int] = (4, 2, 1),
        samples: int = 100_000,
        bins: int = 32,
        iterations: int = 200,
        seed: int = 1,
    ) -> None:
        for key, fits, expected, found in (
            ("shrink", len(shrink) and min(shrink) >= 1, "numbers from 1, one per level", list(shrink)),
            ("samples", samples >= 1, "an integer of at least 1", samples),
            ("bins", bins >= 5, "an integer of at least 5", bins),
            ("iterations", iterations >= 1, "an integer of at least 1", iterations),
        ):
            require_valid(f"preprocess.registration.{key}", fits, expected, found)
        self.shrink = tuple(shrink)
        self.samples = samples
        self.bins = bins
        self.iterations = iterations
        self.seed = seed

    def __call__(self, moving: Scan, fixed: Scan) -> Registered:
        """Return ``moving`` on the grid of ``fixed``."""
        import SimpleITK

        here, there = itk_image(fixed.data, fixed.grid), itk_image(moving.data, moving.grid)
        try:
            with one_thread():
                starts = [_start(here, there, by_mass=by_mass) for by_mass in (False, True)]
                worth = [self._worth(here, there, start) for start in starts]
                best = starts[int(np.argmin(worth))]
                self._metric(here, best).Execute(here, there)
        except RuntimeError as error:
            reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1][:120]
            raise ScanError(
                moving.path,
                expected=f"a scan of the same head as {fixed.path.name}",
                found=f"one that cannot be compared with it ({reason})",
                remedy="check that both belong to one visit",
            ) from error
        return _moved(moving, fixed, millimetre_matrix(SimpleITK.Euler3DTransform(best)), "rigid")

    def _worth(self, fixed: "SimpleITK.Image", moving: "SimpleITK.Image", start: "SimpleITK.Euler3DTransform") -> float:
        """Return the metric at ``start``, infinite where the images do not overlap."""
        try:
            return self._metric(fixed, start).MetricEvaluate(fixed, moving)
        except RuntimeError:
            return float("inf")

    def _metric(
        self, fixed: "SimpleITK.Image", start: "SimpleITK.Euler3DTransform"
    ) -> "SimpleITK.ImageRegistrationMethod":
        import SimpleITK

        voxels = np.prod([np.maximum(1, np.array(fixed.GetSize()) // factor) for factor in self.shrink], axis=1)
        method = SimpleITK.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(self.bins)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentagePerLevel(np.minimum(1.0, self.samples / voxels).tolist(), self.seed)
        method.SetInterpolator(SimpleITK.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=1.0, minStep=1e-3, numberOfIterations=self.iterations, relaxationFactor=0.5
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel(list(self.shrink))
        method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0.0 for factor in self.shrink])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
        method.SetInitialTransform(start, inPlace=True)
        return method


def _start(fixed: "SimpleITK.Image", moving: "SimpleITK.Image", *, by_mass: bool) -> "SimpleITK.Euler3DTransform":
    """Return the identity about the centre of ``fixed``, or the shift that aligns the centres of mass."""
    import SimpleITK

    if by_mass:
        kind = SimpleITK.CenteredTransformInitializerFilter.MOMENTS
        return SimpleITK.Euler3DTransform(
            SimpleITK.CenteredTransformInitializer(fixed, moving, SimpleITK.Euler3DTransform(), kind)
        )
    start = SimpleITK.Euler3DTransform()
    start.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([(side - 1) / 2 for side in fixed.GetSize()]))
    return start


def _as_it_is(moving: Scan) -> Registered:
    return Registered(moving.data, np.ones(moving.grid.shape, dtype=bool), np.eye(4), "same grid")


def _moved(moving: Scan, fixed: Scan, move: Float[np.ndarray, "4 4"], how: str) -> Registered:
    if np.array_equal(move, np.eye(4)) and moving.grid.distance_mm(fixed.grid) < SAME_GRID_MM:
        return _as_it_is(moving)
    data, covered = resample_oblique(moving.data, moving.grid, fixed.grid, move, linear=True)
    if not covered.any():
        raise ScanError(
            moving.path,
            expected=f"a scan that overlaps {fixed.path.name}",
            found="one without overlap",
            remedy="check that both belong to one visit, or in jsc prepare use preprocess/registration=rigid",
        )
    return Registered(data, covered, move, how)
