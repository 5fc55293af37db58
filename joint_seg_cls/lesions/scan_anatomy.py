"""Anatomy of one scan: the template's regions by an affine map, its own dark fluid for distances."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import ndimage

from joint_seg_cls.lesions.template_map import STEP_MM, template_map
from joint_seg_cls.scan.grid import Grid

#: Mean thickness of the cortex (Fischl and Dale 2000, https://doi.org/10.1073/pnas.200033797).
CORTEX_MM = 2.5
#: The scan's ventricles reach at most this far from the template's, and stay this far from the surface of the brain.
_REACH_MM, _DEPTH_MM = 20.0, 4.0
#: Percentile of brightness in the template's ventricles that is the scan's fluid.
_FLUID_PERCENTILE = 20
#: Cortex and white matter in the template's tissue map; white matter is at least this far from the cortex.
_CORTEX_FROM, _WHITE, _FROM_CORTEX_MM = 104, (97, 102), 6.0


@final
@dataclass(frozen=True, eq=False)
class ScanAnatomy:
    """Distances and regions at any position of a scan.

    Attributes:
        to_template: maps millimetres of the scan to MNI millimetres.
        ventricle_mm: distance to the lateral ventricles.
        surface_mm: distance to the fluid around the brain, in sulci too.
        ventricle_ml: volume of the lateral ventricles.
    """

    grid: Grid
    to_template: Float[np.ndarray, "4 4"]
    ventricle_mm: Float32[np.ndarray, "x y z"]
    surface_mm: Float32[np.ndarray, "x y z"]
    ventricle_ml: float

    def inside(self, name: str, scan_mm: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Return which positions are inside a mask of the template."""
        return _at(template_map().masks[name], _template_voxels(self.to_template, scan_mm), order=0)

    def to_ventricle_mm(self, scan_mm: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
        """Return the distance of positions to the lateral ventricles of the scan."""
        return _at(self.ventricle_mm, _voxels(self.grid.affine, scan_mm), order=1)

    def to_cortex_mm(self, scan_mm: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
        """Return the distance of positions to the cerebral cortex.

        It is the mean of two estimates: the distance to the template's cortex, and the depth below the fluid around
        the brain less the thickness of the cortex (2.5 mm). Below the tentorium it is the first alone.
        """
        voxels = _template_voxels(self.to_template, scan_mm)
        scale = np.cbrt(abs(np.linalg.det(self.to_template[:3, :3])))
        template_mm = STEP_MM / scale * _at(template_map().distance["cortex"], voxels, order=1)
        depth_mm = _at(self.surface_mm, _voxels(self.grid.affine, scan_mm), order=1) - CORTEX_MM
        below = _at(template_map().masks["infratentorial"], voxels, order=0)
        return np.where(below, template_mm, (template_mm + np.maximum(depth_mm, 0)) / 2).astype(np.float32)

    def from_ventricle(self, scan_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3"]:
        """Return the unit vector, in scan millimetres, of the mean direction away from the lateral ventricles."""
        axes = self.grid.affine[:3, :3] / self.grid.spacing_mm
        step_mm = max(self.grid.spacing_mm)
        slope = [
            self.to_ventricle_mm(scan_mm + step_mm * axis) - self.to_ventricle_mm(scan_mm - step_mm * axis)
            for axis in axes.T
        ]
        direction = axes @ np.mean(slope, axis=1, dtype=np.float64)
        return direction / max(float(np.linalg.norm(direction)), 1e-9)


def scan_anatomy(
    brightness: Float32[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    grid: Grid,
    to_template: Float[np.ndarray, "4 4"],
) -> ScanAnatomy:
    """Return the anatomy of a scan.

    A voxel is fluid if it is darker than the mean of tissue (1) and fluid, the 20th percentile inside the template's
    lateral ventricles. Fluid within 20 mm of these, more than 4 mm below the surface of the brain, and connected to
    them is the lateral ventricles of the scan, which may be wider than the template's; all other fluid outside third
    and fourth ventricle, and all outside the brain, surrounds the brain.

    Args:
        brightness: fluid near 0, tissue near 1.
        to_template: maps millimetres of the scan to MNI millimetres.
    """
    template = template_map()
    where = np.nonzero(brain)
    index = np.stack(where, axis=1).astype(np.float64)
    voxels = _template_voxels(to_template, index @ grid.affine[:3, :3].T + grid.affine[:3, 3])
    ventricle, inner, near_inner = (
        _at(template.masks[name], voxels, order=0)
        for name in ("lateral_ventricle", "inner_ventricle", "around_inner_ventricle")
    )
    values = brightness[where]
    fluid = float(np.percentile(values[ventricle], _FLUID_PERCENTILE)) if ventricle.any() else 0.0
    dark = values < (min(fluid, 1.0) + 1) / 2
    reach = STEP_MM * _at(template.distance["lateral_ventricle"], voxels, order=0) <= _REACH_MM
    deep = ndimage.distance_transform_edt(np.pad(brain, 1), sampling=grid.spacing_mm)[1:-1, 1:-1, 1:-1] > _DEPTH_MM
    candidate = _volume(brain, where, dark & reach & ~inner & ~near_inner) & deep
    seeds = _volume(brain, where, ventricle & dark)
    labels, count = ndimage.label(candidate)
    seeded = np.bincount(labels[seeds], minlength=count + 1) > 0
    seeded[0] = False
    own = seeded[labels]
    if not own.any():  # fluid is not visible
        own = _volume(brain, where, ventricle)
    around = ~brain | (_volume(brain, where, dark & ~inner & ~near_inner) & ~own)
    return ScanAnatomy(
        grid, to_template, _distance_mm(own, grid), _distance_mm(around, grid), float(own.sum()) * grid.voxel_ml
    )


def cortex_to_white(
    brightness: Float32[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    grid: Grid,
    to_template: Float[np.ndarray, "4 4"],
) -> float | None:
    """Return the median of the cerebral cortex divided by that of white matter; None if either is outside the scan.

    Args:
        brightness: fluid near 0, tissue near 1.
        to_template: maps millimetres of the scan to MNI millimetres.
    """
    template = template_map()
    index = np.argwhere(brain)
    voxels = _template_voxels(to_template, index @ grid.affine[:3, :3].T + grid.affine[:3, 3])
    tissue = _at(template.tissue, voxels, order=0)
    away_mm = STEP_MM * _at(template.distance["cortex"], voxels, order=0)
    left_out = _at(template.masks["infratentorial"], voxels, order=0) | _at(
        template.masks["deep_grey"], voxels, order=0
    )
    cortex = (away_mm == 0) & (tissue > _CORTEX_FROM) & ~left_out
    white = (away_mm > _FROM_CORTEX_MM) & (tissue > _WHITE[0]) & (tissue < _WHITE[1]) & ~left_out
    values = brightness[tuple(index.T)]
    if not cortex.any() or not white.any():
        return None
    return float(np.median(values[cortex]) / max(float(np.median(values[white])), 1e-6))


def _volume(brain: np.ndarray, where: tuple[np.ndarray, ...], values: np.ndarray) -> Bool[np.ndarray, "x y z"]:
    volume = np.zeros(brain.shape, dtype=bool)
    volume[where] = values
    return volume


def _distance_mm(mask: Bool[np.ndarray, "x y z"], grid: Grid) -> Float32[np.ndarray, "x y z"]:
    """Return the distance of each voxel centre to the nearest voxel of ``mask``, 0 inside; 100 if it is empty."""
    if not mask.any():
        return np.full(mask.shape, 100.0, dtype=np.float32)
    return ndimage.distance_transform_edt(~mask, sampling=grid.spacing_mm).astype(np.float32)


def _template_voxels(
    to_template: Float[np.ndarray, "4 4"], scan_mm: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "3 n"]:
    return _voxels(np.linalg.solve(to_template, template_map().grid.affine), scan_mm)


def _voxels(affine: Float[np.ndarray, "4 4"], positions_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3 n"]:
    return np.linalg.solve(affine[:3, :3], (positions_mm - affine[:3, 3]).T)


def _at(volume: np.ndarray, voxels: Float[np.ndarray, "3 n"], *, order: int) -> np.ndarray:
    """Sample a volume at voxel coordinates: nearest (order 0, keeps the type) or linear (float32)."""
    output = volume.dtype if order == 0 else np.float32
    return ndimage.map_coordinates(volume, voxels, order=order, mode="nearest", output=output)
