"""Possible locations of lesions of each kind on the template: positions, ventricular walls, spared regions."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.lesions import template_regions
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.template import load_template

#: Walls along which lesions lie, by the name of the cavity.
WALLS = ("lateral_ventricle", "third_ventricle", "fourth_ventricle", "aqueduct")
#: Maximum distance of a lesion from its wall.
WALL_MM = 3.0
#: Features allowed anywhere in their region, even where it overlaps regions spared for other absent features.
_OWN_REGION = {"callosal", "inferior_temporal", "pons", "cerebellum", "area_postrema", "hypothalamus", "corticospinal"}


@final
@dataclass(frozen=True, eq=False)
class Atlas:
    """Maps on the template for placing lesions.

    Attributes:
        tissue: voxels where a lesion may lie.
        white: voxels where a white matter lesion may lie.
        zones: masks by zone, wider than the starting positions of that zone's lesions.
        wall_mm: distance to each cavity of ``WALLS``.
        spared: for each feature, the region without lesions in a patient who lacks it.
    """

    grid: Grid
    tissue: Bool[np.ndarray, "x y z"]
    white: Bool[np.ndarray, "x y z"]
    zones: Mapping[str, Bool[np.ndarray, "x y z"]]
    wall_mm: Mapping[str, Float[np.ndarray, "x y z"]]
    spared: Mapping[str, Bool[np.ndarray, "x y z"]]

    def permitted(self, features: Set[str]) -> Bool[np.ndarray, "x y z"]:
        """Return where a patient with ``features`` may have lesions, which excludes regions of absent features."""
        allowed = self.tissue.copy()
        for feature, region in self.spared.items():
            if feature not in features:
                allowed &= ~region
        for feature in _OWN_REGION & features:
            allowed |= self.spared[feature] & self.tissue
        return allowed


@lru_cache(maxsize=2)
def load_atlas(spacing_mm: Literal[1, 2]) -> Atlas:
    """Return the atlas on the template's grid of ``spacing_mm``."""
    template, regions = load_template(spacing_mm), template_regions(spacing_mm)
    region, distance = regions.masks, regions.distance_mm
    fluid = 1 - template.white - template.grey
    tissue = template.brain & (fluid < 0.5) & ~region["lateral_ventricle"]
    white = tissue & (template.white > 0.5)
    far = distance["lateral_ventricle"] > 5
    temporal = region["inferior_temporal"] & white
    tracts = region["internal_capsule"] | region["corticospinal_tract"]
    deep = region["deep_white_matter"] & ~temporal & ~tracts & ~region["thalamus"]
    _, y, z = coordinates_mm(regions.grid)
    frontoparietal = (y > -60) & (z > 0)
    near_cortex = distance["cortex"] <= 1.5
    midline_walls = sum((distance[name] <= WALL_MM for name in WALLS[1:]), start=np.zeros_like(tissue))
    zones = {
        "periventricular": white & ~region["callosum"] & (distance["lateral_ventricle"] <= 2.3),
        "juxtacortical": white & region["cerebrum"] & near_cortex & far & ~temporal,
        "inferior_temporal": temporal & far,
        "deep": deep & far & (distance["cortex"] > 2.5),
        "subcortical": deep & (distance["lateral_ventricle"] > 8) & (distance["cortex"] > 2.2) & frontoparietal,
        "callosum": region["callosum"] & white,
        "deep_grey": region["thalamus"] & ~midline_walls,
        "pons": region["pons"],
        "midbrain": region["midbrain"],
        "medulla": region["medulla"] & ~region["area_postrema"],
        "cerebellum": region["cerebellum"] & (template.white > 0.4),
        "area_postrema": region["area_postrema"],
        "hypothalamus": region["hypothalamus"],
        "corticospinal": region["internal_capsule"],
        "third_ventricle": tissue & (distance["third_ventricle"] <= 2.3) & ~region["hypothalamus"],
        "fourth_ventricle": tissue & (distance["fourth_ventricle"] <= 2.3) & region["infratentorial"],
        "aqueduct": region["midbrain"] & (distance["aqueduct"] <= 2.3),
    }
    spared = {
        "periventricular": (distance["lateral_ventricle"] <= WALL_MM) & ~region["callosum"],
        "juxtacortical": near_cortex & region["cerebrum"] & ~region["inferior_temporal"],
        "inferior_temporal": region["inferior_temporal"],
        "callosal": region["callosum"],
        "infratentorial": region["infratentorial"] & ~region["area_postrema"] & ~midline_walls,
        "pons": region["pons"] & ~midline_walls,
        "cerebellum": region["cerebellum"] & ~midline_walls,
        "periependymal": midline_walls & ~region["hypothalamus"] & ~region["area_postrema"],
        "area_postrema": region["area_postrema"],
        "hypothalamus": region["hypothalamus"],
        "corticospinal": tracts & ~region["infratentorial"] & (z < 18),
    }
    wall_mm = {name: distance[name] for name in WALLS}
    return Atlas(regions.grid, tissue, white, zones, wall_mm, spared)


@lru_cache(maxsize=1)
def zone_positions_mm() -> Mapping[str, Float[np.ndarray, "n 3"]]:
    """Return the voxel centres of each zone on the 2 mm grid, for drawing on any grid."""
    atlas = load_atlas(2)
    return {name: positions_mm(atlas.grid, np.argwhere(mask)) for name, mask in atlas.zones.items()}


@lru_cache(maxsize=4)
def wall_normals(name: str) -> Float[np.ndarray, "3 x y z"]:
    """Return the unit vectors that point away from a cavity, on the 2 mm grid."""
    slope = np.stack(np.gradient(ndimage.gaussian_filter(load_atlas(2).wall_mm[name], 1.0)))
    return slope / np.maximum(np.linalg.norm(slope, axis=0), 1e-6)


def coordinates_mm(grid: Grid) -> tuple[Float[np.ndarray, "_ _ _"], ...]:
    """Return the coordinates along each axis of a grid with RAS+ axes, shaped to broadcast."""
    axes = (grid.affine[k, 3] + grid.affine[k, k] * np.arange(grid.shape[k]) for k in range(3))
    return np.meshgrid(*axes, indexing="ij", sparse=True)


def positions_mm(grid: Grid, voxels: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Return voxel centres in millimetres."""
    return voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def voxel_at(grid: Grid, position_mm: np.ndarray) -> tuple[int, int, int]:
    """Return the voxel that contains a position."""
    x, y, z = np.clip(
        np.round(np.linalg.solve(grid.affine[:3, :3], np.asarray(position_mm) - grid.affine[:3, 3])).astype(int),
        0,
        np.array(grid.shape) - 1,
    )
    return int(x), int(y), int(z)
