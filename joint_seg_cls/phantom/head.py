"""A head as labels: its tissues, and the possible locations of lesions of each kind."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy import ndimage

from joint_seg_cls.lesions.regions import BOXES, COURSES
from joint_seg_cls.phantom.atlas import WALL_MM, Atlas, coordinates_mm
from joint_seg_cls.phantom.tissue import Tissue, is_brain
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.grid import bounding_box

#: The box around the template's brain, MNI mm: coordinates of a head are scaled from its own box to this box.
TEMPLATE_BOX_MM = np.array([(-71.0, -106.0, -66.0), (71.0, 72.0, 80.0)])
#: Medulla, pons and midbrain as fractions of the brain stem's height, from below.
_MEDULLA, _PONS = 0.38, 0.74
_FAR_MM = 5.0


@final
@dataclass(frozen=True, eq=False)
class Head:
    """A head in RAS+ voxels of 1 mm."""

    name: str
    tissue: UInt8[np.ndarray, "x y z"]

    @cached_property
    def brain_box(self) -> tuple[slice, slice, slice]:
        """The smallest box around the brain, with a margin of up to 4 voxels."""
        return bounding_box(is_brain(self.tissue), 4)

    @cached_property
    def atlas(self) -> Atlas:
        """Possible locations of lesions of each kind within :attr:`brain_box`; positions are approximately MNI mm."""
        return _atlas(self.tissue[self.brain_box])


def _atlas(tissue: UInt8[np.ndarray, "x y z"]) -> Atlas:
    grid = _template_like(tissue)
    x, y, z = coordinates_mm(grid)
    stem = tissue == Tissue.BRAIN_STEM
    level = _level_of_stem(stem)
    medulla, pons, midbrain = (
        stem & part for part in (level < _MEDULLA, (level >= _MEDULLA) & (level < _PONS), level >= _PONS)
    )
    wall_mm = _walls_mm(tissue, midbrain & (np.abs(x) <= 1.5) & _behind(midbrain))
    cortex_mm = _distance(tissue == Tissue.CORTEX)
    parenchyma = np.isin(tissue, (1, 3, 4, 6, 7))
    white = tissue == Tissue.WHITE
    box = {name: _in_boxes(BOXES[name], x, y, z) for name in ("callosum", "inferior_temporal", "hypothalamus")}
    near_wall, near_cortex = wall_mm["lateral_ventricle"] <= WALL_MM, cortex_mm <= 1.5
    far = wall_mm["lateral_ventricle"] > _FAR_MM
    callosum = white & box["callosum"] & (wall_mm["lateral_ventricle"] <= 9)
    temporal = box["inferior_temporal"] & white
    capsule, tract = (
        parenchyma & _along(grid, tissue.shape, name) for name in ("internal_capsule", "corticospinal_tract")
    )
    deep = white & ~temporal & ~near_wall & ~near_cortex & ~callosum
    midline = [wall_mm[name] <= WALL_MM for name in ("third_ventricle", "fourth_ventricle", "aqueduct")]
    midline_walls = midline[0] | midline[1] | midline[2]
    hypothalamus = parenchyma & box["hypothalamus"]
    postrema = medulla & (wall_mm["fourth_ventricle"] <= 4)
    cerebellum = tissue == Tissue.CEREBELLAR_WHITE
    zones = {
        "periventricular": white & ~callosum & (wall_mm["lateral_ventricle"] <= 2.3),
        "juxtacortical": white & near_cortex & far & ~temporal,
        "inferior_temporal": temporal & far,
        "deep": deep & far & (cortex_mm > 2.5),
        "subcortical": deep & (wall_mm["lateral_ventricle"] > 8) & (cortex_mm > 2.2) & (y > -60) & (z > 0),
        "callosum": callosum,
        "deep_grey": (tissue == Tissue.DEEP_GREY) & ~midline_walls,
        "pons": pons,
        "midbrain": midbrain,
        "medulla": medulla & ~postrema,
        "cerebellum": cerebellum,
        "area_postrema": postrema,
        "hypothalamus": hypothalamus,
        "corticospinal": capsule,
        "third_ventricle": parenchyma & midline[0] & ~hypothalamus,
        "fourth_ventricle": parenchyma & midline[1],
        "aqueduct": midbrain & midline[2],
    }
    infratentorial = stem | cerebellum
    spared = {
        "periventricular": near_wall & ~callosum,
        "juxtacortical": near_cortex & ~box["inferior_temporal"] & ~infratentorial,
        "inferior_temporal": box["inferior_temporal"] & ~infratentorial,
        "callosal": callosum,
        "infratentorial": infratentorial & ~postrema & ~midline_walls,
        "pons": pons & ~midline_walls,
        "cerebellum": cerebellum & ~midline_walls,
        "periependymal": midline_walls & ~hypothalamus & ~postrema,
        "area_postrema": postrema,
        "hypothalamus": hypothalamus,
        "corticospinal": (capsule | tract) & ~infratentorial & (z < 18),
    }
    return Atlas(grid, parenchyma, white, zones, wall_mm, spared)


def _walls_mm(
    tissue: UInt8[np.ndarray, "x y z"], aqueduct: Bool[np.ndarray, "x y z"]
) -> dict[str, Float32[np.ndarray, "x y z"]]:
    """Return the distance to each part of the ventricles, in mm."""
    return {
        "lateral_ventricle": _distance(tissue == Tissue.LATERAL_VENTRICLE),
        "third_ventricle": _distance(tissue == Tissue.THIRD_VENTRICLE),
        "fourth_ventricle": _distance(tissue == Tissue.FOURTH_VENTRICLE),
        "aqueduct": _distance(aqueduct),
    }


def _template_like(tissue: UInt8[np.ndarray, "x y z"]) -> Grid:
    """Return the grid that maps the brain's box to the template's."""
    filled = bounding_box(is_brain(tissue))
    low, high = (np.array([getattr(part, end) for part in filled], dtype=float) for end in ("start", "stop"))
    scale = (TEMPLATE_BOX_MM[1] - TEMPLATE_BOX_MM[0]) / (high - low)
    affine = np.diag([*scale, 1.0])
    affine[:3, 3] = TEMPLATE_BOX_MM[0] - scale * low
    x, y, z = tissue.shape
    return Grid((x, y, z), affine)


def _distance(mask: Bool[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """Return the distance of each voxel from ``mask``; a large value if the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, 1e3, dtype=np.float32)
    return ndimage.distance_transform_edt(~mask).astype(np.float32)


def _level_of_stem(stem: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "1 1 z"]:
    """Return the height of each slice in the brain stem, from 0 at the bottom to 1 at the top."""
    filled = np.flatnonzero(stem.any(axis=(0, 1)))
    low, high = (filled[0], filled[-1]) if filled.size else (0, 1)
    return ((np.arange(stem.shape[2]) - low) / max(high - low, 1))[None, None, :]


def _behind(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return the posterior third of a mask."""
    filled = np.flatnonzero(mask.any(axis=(0, 2)))
    edge = filled[0] + (filled[-1] - filled[0]) / 3 if filled.size else 0
    return np.broadcast_to((np.arange(mask.shape[1]) <= edge)[None, :, None], mask.shape)


def _in_boxes(boxes: tuple, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Bool[np.ndarray, "x y z"]:
    found = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), dtype=bool)
    for (x0, x1), (y0, y1), (z0, z1) in boxes:
        found |= (np.abs(x) >= x0) & (np.abs(x) <= x1) & (y >= y0) & (y <= y1) & (z >= z0) & (z <= z1)
    return found


def _along(grid: Grid, shape: tuple[int, ...], name: str) -> Bool[np.ndarray, "x y z"]:
    """Return the surroundings of a tract's course on both sides."""
    course, radius_mm = COURSES[name]
    points = np.array(course, dtype=float)
    found = np.ones(shape, dtype=bool)
    for start, stop in pairwise(points):
        steps = max(int(np.linalg.norm(stop - start)), 1)
        for side in (1, -1):
            line = np.linspace(start, stop, steps + 1) * (side, 1, 1)
            voxel = np.round((line - grid.affine[:3, 3]) / np.diag(grid.affine)[:3]).astype(int)
            voxel = voxel[((voxel >= 0) & (voxel < shape)).all(axis=1)]
            found[tuple(voxel.T)] = False
    return ndimage.distance_transform_edt(found) <= radius_mm
