"""Affine registration of a brain to the MNI152 template, and how well it fits."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import ndimage

from joint_seg_cls.lesions import template_map
from joint_seg_cls.preprocess.itk import LPS, itk_image, millimetre_matrix, one_thread
from joint_seg_cls.scan import Grid

if TYPE_CHECKING:
    import SimpleITK

#: Voxels of the registration.
_SPACING_MM = 4.0
#: Intensities between the percentile of fluid (0) and the median (1) are compared; brighter ones, as lesions, are not.
_FLUID_PERCENTILE, _BRIGHTEST = 1.0, 1.15
_ITERATIONS, _STEP, _LEAST_STEP = 80, 2.0, 0.02
#: Brains between these sizes relative to the template, along each axis, are plausible.
PLAUSIBLE_SCALE = (0.65, 1.3)
#: Lowest values of a registration that is trusted.
LEAST_SIMILARITY, LEAST_OVERLAP, LEAST_DARK = 0.28, 0.8, 0.35
#: Below this intensity (fluid 0, tissue 1), the interior of the lateral ventricles is dark.
DARK = 0.7


@final
@dataclass(frozen=True, eq=False)
class TemplateFit:
    """An affine registration to the template.

    Attributes:
        to_template: maps millimetres of the scan to MNI millimetres.
        similarity: correlation of tissue brightness with the template's within its brain, in [-1, 1].
        brain_overlap: Dice coefficient of both brain masks inside the field of view.
        ventricle_dark: share of the template's lateral ventricles where the scan is as dark as fluid.
        scale: size of the brain relative to the template along its principal axes, smallest first.
    """

    to_template: Float[np.ndarray, "4 4"]
    similarity: float
    brain_overlap: float
    ventricle_dark: float
    scale: tuple[float, float, float]

    @property
    def doubt(self) -> str | None:
        """The reason why the registration is unreliable; None if it is reliable."""
        low, high = PLAUSIBLE_SCALE
        checks = (
            ("similarity", self.similarity, LEAST_SIMILARITY),
            ("overlap of the brains", self.brain_overlap, LEAST_OVERLAP),
            ("dark share of the ventricles", self.ventricle_dark, LEAST_DARK),
        )
        found = [f"{name} {value:.2f} is below {least}" for name, value, least in checks if not value >= least]
        if not low <= min(self.scale) <= max(self.scale) <= high:
            found.append(f"scale {self.scale[0]:.2f} to {self.scale[2]:.2f} is outside {low} to {high}")
        return "; ".join(found) or None

    def to_json(self) -> dict[str, Any]:
        """Return the fit as plain values."""
        return {**asdict(self), "to_template": self.to_template.tolist(), "scale": list(self.scale)}


def tissue_brightness(
    image: Float32[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
) -> Float32[np.ndarray, "x y z"] | None:
    """Return intensities with fluid at 0 and the brain's median at 1; None for an image without contrast.

    Fluid is the first percentile inside the brain. Values above 1.15, such as lesions, become 1.15; outside the brain
    the result is 0.
    """
    if not brain.any():
        return None
    fluid, tissue = np.percentile(image[brain], [_FLUID_PERCENTILE, 50])
    if not tissue > fluid:
        return None
    return np.where(brain, np.clip((image - fluid) / (tissue - fluid), 0, _BRIGHTEST), 0).astype(np.float32)


def register_to_template(brightness: Float32[np.ndarray, "x y z"], grid: Grid) -> TemplateFit | None:
    """Register a brain to the template by an affine transform; None if they cannot be compared.

    Correlation of tissue brightness within the template's brain, regular-step gradient descent in twelve parameters on
    voxels of 8 and 4 mm, from aligned centres and extents. Fluid is dark and lesions are capped in
    :func:`tissue_brightness`, so that T1-weighted template and FLAIR have the same contrast. Deterministic: one thread
    and all voxels.

    Args:
        brightness: from :func:`tissue_brightness`.
    """
    template = template_map()
    fixed, fixed_grid = _coarse(template.tissue.astype(np.float32) / 100, template.grid)
    moving, moving_grid = _coarse(brightness, grid)
    start = _start(fixed, fixed_grid, moving, moving_grid)
    if start is None:
        return None
    try:
        with one_thread():
            found = _aligned(itk_image(fixed, fixed_grid), itk_image(moving, moving_grid), *start)
    except RuntimeError:  # no overlap
        return None
    if not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-6:
        return None
    return measure_fit(np.linalg.inv(found), brightness, grid)


def measure_fit(
    to_template: Float[np.ndarray, "4 4"], brightness: Float32[np.ndarray, "x y z"], grid: Grid
) -> TemplateFit:
    """Measure how well a transform fits; see :class:`TemplateFit`."""
    template = template_map()
    steps = [max(1, round(2.0 / spacing)) for spacing in grid.spacing_mm]
    part = tuple(slice(None, None, step) for step in steps)
    scan = brightness[part]
    step = np.linalg.solve(template.grid.affine, to_template @ grid.affine @ np.diag([*steps, 1.0]))

    def moved(volume: np.ndarray) -> np.ndarray:
        return ndimage.affine_transform(volume, step[:3, :3], step[:3, 3], scan.shape, order=0)

    brain, inside = scan > 0, moved(template.masks["brain"])
    core = moved(ndimage.binary_erosion(template.masks["lateral_ventricle"]))
    tissue = moved(template.tissue)[inside].astype(np.float64)
    spread = tissue.std() * scan[inside].std() if inside.any() else 0.0
    product = (tissue - tissue.mean()) * (scan[inside] - scan[inside].mean()) if inside.any() else np.zeros(1)
    similarity = float(product.mean() / spread) if spread else 0.0
    sizes = np.linalg.svd(np.linalg.inv(to_template)[:3, :3], compute_uv=False)[::-1]
    return TemplateFit(
        to_template,
        similarity,
        2 * float((brain & inside).sum()) / max(float(brain.sum() + inside.sum()), 1.0),
        float((scan[core] < DARK).mean()) if core.any() else 0.0,
        (float(sizes[0]), float(sizes[1]), float(sizes[2])),
    )


def _coarse(volume: Float32[np.ndarray, "x y z"], grid: Grid) -> tuple[Float32[np.ndarray, "i j k"], Grid]:
    """Return a volume in voxels of about ``_SPACING_MM``, smoothed against aliasing."""
    factor = _SPACING_MM / np.array(grid.spacing_mm)
    x, y, z = (max(1, round(side / f)) for side, f in zip(grid.shape, factor, strict=True))
    coarse = grid.resized((x, y, z))
    step = np.linalg.solve(grid.affine, coarse.affine)
    smooth = ndimage.gaussian_filter(volume, np.where(factor > 1, factor / 2.5, 0))
    return ndimage.affine_transform(smooth, np.diag(step)[:3], step[:3, 3], (x, y, z), order=1, mode="nearest"), coarse


def _start(
    fixed: np.ndarray, fixed_grid: Grid, moving: np.ndarray, moving_grid: Grid
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the centre of the template's tissue, that of the scan's, and the ratio of their extents along x, y, z."""
    centres, extents = [], []
    for volume, grid in ((fixed, fixed_grid), (moving, moving_grid)):
        index = np.argwhere(volume > 0.3)
        if len(index) < 100:
            return None
        position = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        centres.append(position.mean(axis=0))
        extents.append(position.std(axis=0))
    return centres[0], centres[1], np.clip(extents[1] / extents[0], *PLAUSIBLE_SCALE)


def _aligned(
    fixed: "SimpleITK.Image", moving: "SimpleITK.Image", centre: np.ndarray, there: np.ndarray, scale: np.ndarray
) -> Float[np.ndarray, "4 4"]:
    """Return the matrix from template to scan, in RAS+ millimetres."""
    import SimpleITK

    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(np.diag(scale).ravel().tolist())
    transform.SetCenter((LPS[:3, :3] @ centre).tolist())
    transform.SetTranslation((LPS[:3, :3] @ (there - centre)).tolist())
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(SimpleITK.BinaryDilate(fixed > 0.1, [2, 2, 2]))
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(_STEP, _LEAST_STEP, _ITERATIONS, 0.5)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return millimetre_matrix(transform)
