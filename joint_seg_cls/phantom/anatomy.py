"""Anatomy of one person: a smooth map from the person's head to the template."""

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from jaxtyping import Float, Float32
from scipy import ndimage

from joint_seg_cls.lesions import template_regions
from joint_seg_cls.phantom.parameters import stream

#: Centre of the brain in MNI mm.
CENTRE_MM = np.array([0.0, -18.0, 8.0])
_LATTICE_MM, _LATTICE_SIZE = 24.0, 11
_DISPLACEMENT_SD_MM = 2.6
_SCALE_SD, _SHEAR_SD = 0.035, 0.015
#: Widening of the lateral ventricles at each wall: mean, sd, minimum and maximum.
_VENTRICLE_MM = (0.6, 1.1, -1.0, 3.0)
_VENTRICLE_REACH_MM = 10.0


@final
@dataclass(frozen=True, eq=False)
class Anatomy:
    """The difference between a head and the template.

    Attributes:
        linear: scale and shear from head to template.
        displacement_mm: further displacement on a lattice of 24 mm.
        ventricle_mm: widening of the lateral ventricles at each wall.
    """

    linear: Float[np.ndarray, "3 3"]
    displacement_mm: Float[np.ndarray, "3 n n n"]
    ventricle_mm: float

    def to_template(self, head_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Map positions in the head, in mm from its centre, to the template (MNI mm)."""
        lattice = (head_mm / _LATTICE_MM + _LATTICE_SIZE // 2).T
        moved = [ndimage.map_coordinates(part, lattice, order=3, mode="nearest") for part in self.displacement_mm]
        template_mm = head_mm @ self.linear.T + np.stack(moved, axis=1) + CENTRE_MM
        away, origin, spacing = _away_from_ventricles()
        where = ((template_mm - origin) / spacing).T
        push = [ndimage.map_coordinates(part, where, order=1, mode="nearest") for part in away]
        return template_mm - self.ventricle_mm * np.stack(push, axis=1)

    def to_head(self, template_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Map positions of the template to the head, approximately (only scale and shear)."""
        return np.linalg.solve(self.linear, (template_mm - CENTRE_MM).T).T


def draw_anatomy(seed: int, subject: int) -> Anatomy:
    """Draw the anatomy of a subject, which is the same at all visits and independent of the disease."""
    rng = stream(seed, subject, "anatomy")
    linear = np.diag(1 / np.exp(_SCALE_SD * rng.standard_normal(3))) + _SHEAR_SD * np.triu(
        rng.standard_normal((3, 3)), 1
    )
    displacement = _DISPLACEMENT_SD_MM * rng.standard_normal((3, _LATTICE_SIZE, _LATTICE_SIZE, _LATTICE_SIZE))
    mean, sd, least, most = _VENTRICLE_MM
    return Anatomy(linear, displacement, float(np.clip(rng.normal(mean, sd), least, most)))


@lru_cache(maxsize=1)
def _away_from_ventricles() -> tuple[Float32[np.ndarray, "3 x y z"], Float[np.ndarray, "3"], float]:
    """Return a smooth field that points away from the lateral ventricles and fades; its origin and spacing."""
    regions = template_regions(2)
    inside = regions.masks["lateral_ventricle"]
    spacing = regions.grid.spacing_mm[0]
    signed = regions.distance_mm["lateral_ventricle"] - spacing * ndimage.distance_transform_edt(inside)
    slope = np.stack(np.gradient(ndimage.gaussian_filter(signed, 1.0)))
    slope /= np.maximum(np.linalg.norm(slope, axis=0), 0.3)
    field = slope * np.exp(-((signed / _VENTRICLE_REACH_MM) ** 2))
    smooth = np.stack([ndimage.gaussian_filter(part, 1.0) for part in field]).astype(np.float32)
    return smooth, regions.grid.affine[:3, 3], spacing
