"""Anatomical regions on the MNI152 template, defined by boxes, courses and distances in MNI mm."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.lesions.geometry import (
    Box,
    Position,
    along,
    component,
    distance_mm_to,
    in_boxes,
    index_of,
    millimetres,
)
from joint_seg_cls.scan.grid import Grid, bounding_box
from joint_seg_cls.scan.template import Template, load_template

#: Fraction of cerebrospinal fluid above which a voxel is fluid.
FLUID = 0.5
#: Fraction above which the lateral ventricles are separate from the cisterns and the third ventricle.
FLUID_CORE = 0.7
#: Maximum distance of a periventricular lesion to the lateral ventricle.
PERIVENTRICULAR_MM = 3.0
#: Maximum distance of a juxtacortical lesion to the cortex.
JUXTACORTICAL_MM = 1.5
#: Ranges in MNI mm, x as distance from the midline, for both sides.
BOXES: dict[str, tuple[Box, ...]] = {
    "third_ventricle": (((0, 5), (-24, 6), (-11, 9)),),
    "fourth_ventricle": (((0, 10), (-52, -36), (-46, -23)),),
    "callosum": (((0, 12), (-46, 36), (-8, 34)),),
    "midbrain": (((0, 20), (-40, -8), (-21, -4)),),
    "pons": (((0, 20), (-44, -5), (-46, -21)),),
    "medulla": (((0, 14), (-52, -25), (-72, -46)),),
    "area_postrema": (((0, 6), (-52, -42), (-62, -47)),),
    "hypothalamus": (((0, 7), (-12, 4), (-14, -4)),),
    "thalamus": (((1, 21), (-32, -5), (-1, 17)),),
    "behind_brain_stem": (((0, 75), (-110, -33), (-72, 12)),),
    "deep_grey": (((0, 34), (-38, 10), (-10, 22)), ((7, 34), (10, 24), (-10, 22))),
    "inferior_temporal": (((20, 75), (-50, -2), (-60, -8)), ((24, 75), (-2, 24), (-60, -20))),
}
#: Courses of tracts and canals: MNI positions (x mirrored) and the radius, all in mm.
COURSES: dict[str, tuple[tuple[Position, ...], float]] = {
    "aqueduct": (((0, -25, -3), (0, -28, -11), (0, -31, -16), (0, -38, -23)), 2.0),
    "internal_capsule": (((11, 12, 6), (16, 0, 6), (22, -13, 8), (26, -26, 10)), 4.0),
    "corticospinal_tract": (
        ((27, -22, 36), (25, -19, 20), (22, -15, 6), (14, -17, -10), (7, -22, -28), (4, -34, -50)),
        4.0,
    ),
}
#: Seeds of the two basins of the watershed, which meet in the fluid along the tentorium.
SEEDS: dict[str, tuple[Position, ...]] = {
    "infratentorial": (
        *((30, -60, -40), (15, -70, -35), (25, -50, -50), (0, -60, -28), (2, -52, -12), (12, -55, -15)),
        *((48, -55, -34), (40, -45, -32), (42, -68, -32), (34, -62, -26), (45, -60, -30), (30, -40, -30)),
        *((6, -25, -32), (8, -22, -16), (2, -30, -20), (3, -40, -56), (12, -30, -34)),
    ),
    "cerebrum": (
        *((25, 0, 32), (25, -80, 8), (48, -25, -22), (35, -45, -18), (40, -60, -14), (12, -70, 2)),
        *((25, -30, -20), (30, 0, -34), (15, -55, 8), (12, -18, 8), (25, -88, -10), (6, 20, 40)),
        *((56, -55, -18), (52, -40, -24), (10, 6, -12), (18, 2, -14), (24, -4, -20), (14, -6, -3), (42, -75, -12)),
    ),
}
#: Levels of the watershed, as fractions of fluid.
FLOOD_LEVELS = (0.05, 0.15, 0.25, 0.4, 0.6, 1.0)
#: Maximum height of infratentorial structures.
TENTORIUM_TOP_MM = 12
#: Plane between midbrain and thalamus, which no fluid separates.
TENTORIAL_NOTCH: Box = ((0, 24), (-42, -4), (-4, -3))
#: Regions with distance maps, in addition to the edge of the brain.
DISTANCES = ("lateral_ventricle", "third_ventricle", "fourth_ventricle", "aqueduct", "callosum", "cortex")


@final
@dataclass(frozen=True, eq=False)
class Regions:
    """Anatomical regions on the template; the arrays are shared and read-only.

    Attributes:
        grid: the template's grid.
        masks: one mask per region, by name; regions may overlap.
        distance_mm: distance from each voxel centre to the nearest voxel of a region, 0 inside it;
            ``brain_edge`` is the depth below the surface of the brain, 0 outside. Beyond 4 mm outside the brain's
            bounding box, the value at the face of that box is repeated.
    """

    grid: Grid
    masks: Mapping[str, Bool[np.ndarray, "x y z"]]
    distance_mm: Mapping[str, Float[np.ndarray, "x y z"]]


@lru_cache(maxsize=2)
def template_regions(spacing_mm: Literal[1, 2]) -> Regions:
    """Return the regions on the template at ``spacing_mm``; the 2 mm grid has every second voxel of the 1 mm grid."""
    if spacing_mm == 2:
        fine = template_regions(1)
        return Regions(
            load_template(2).grid,
            {name: _shared(mask[::2, ::2, ::2]) for name, mask in fine.masks.items()},
            {name: _shared(field[::2, ::2, ::2]) for name, field in fine.distance_mm.items()},
        )
    whole = load_template(1)
    template, margins = _around_brain(whole)
    masks = _masks(template)
    distance_mm = {name: distance_mm_to(masks[name]) for name in DISTANCES}
    distance_mm["brain_edge"] = distance_mm_to(~template.brain)
    near_ventricle, near_cortex = (
        distance_mm["lateral_ventricle"] <= PERIVENTRICULAR_MM,
        distance_mm["cortex"] <= JUXTACORTICAL_MM,
    )
    masks["deep_white_matter"] = (
        (template.white > 0.5) & masks["cerebrum"] & ~near_ventricle & ~near_cortex & ~masks["callosum"]
    )
    return Regions(
        whole.grid,
        {name: _shared(np.pad(mask, margins)) for name, mask in masks.items()},
        {name: _shared(np.pad(field, margins, mode="edge")) for name, field in distance_mm.items()},
    )


def _around_brain(template: Template) -> tuple[Template, list[tuple[int, int]]]:
    """Crop the template to the brain with a margin of 4 mm; also return the cropped width at both ends of each axis."""
    part = bounding_box(template.brain, 4)
    (x, X), (y, Y), (z, Z) = spans = [(side.start, side.stop) for side in part]
    inner = Template(
        template.grid.cropped((x, y, z), (X, Y, Z)),
        template.t1[part],
        template.white[part],
        template.grey[part],
        template.brain[part],
    )
    return inner, [(low, n - high) for (low, high), n in zip(spans, template.grid.shape, strict=True)]


def _masks(template: Template) -> dict[str, Bool[np.ndarray, "x y z"]]:
    fluid = np.where(template.brain, 1 - template.white - template.grey, 1)
    tissue = template.brain & (fluid < FLUID)
    box = {name: in_boxes(template.grid, boxes) for name, boxes in BOXES.items()}
    course = {name: along(template.grid, *line) for name, line in COURSES.items()}
    part = _parts(template.grid, fluid, template.brain)
    ventricle = _lateral_ventricle(template.grid, fluid, template.brain)
    stem = box["midbrain"] | box["pons"] | box["medulla"]
    inner = template.brain & (fluid > 0.4)
    masks = {
        "lateral_ventricle": ventricle,
        "third_ventricle": component(inner & box["third_ventricle"] & ~ventricle, template.grid, [(0, -14, -4)]),
        "fourth_ventricle": component(inner & box["fourth_ventricle"], template.grid, [(0, -44, -32)]),
        "aqueduct": course["aqueduct"],
        "callosum": _callosum(template, box["callosum"]) & ~ventricle,
        "midbrain": tissue & box["midbrain"] & part["infratentorial"],
        "pons": tissue & box["pons"] & part["infratentorial"],
        "medulla": tissue & box["medulla"] & part["infratentorial"],
        "area_postrema": tissue & box["area_postrema"] & part["infratentorial"],
        "cerebellum": tissue & part["infratentorial"] & box["behind_brain_stem"] & ~stem,
        "hypothalamus": tissue & box["hypothalamus"],
        "thalamus": tissue & box["thalamus"] & ~ventricle & (template.grey > 0.2) & ~course["internal_capsule"],
        "internal_capsule": tissue & course["internal_capsule"],
        "corticospinal_tract": tissue & course["corticospinal_tract"],
        "inferior_temporal": tissue & box["inferior_temporal"] & part["cerebrum"],
    }
    masks["infratentorial"] = masks["midbrain"] | masks["pons"] | masks["medulla"] | masks["cerebellum"]
    masks["cerebrum"] = tissue & ~masks["infratentorial"]
    rim = ndimage.binary_dilation(ventricle, iterations=3)
    masks["cortex"] = (template.grey > 0.5) & masks["cerebrum"] & ~box["deep_grey"] & ~rim & ~masks["callosum"]
    return masks


def _lateral_ventricle(grid: Grid, fluid: np.ndarray, brain: np.ndarray) -> Bool[np.ndarray, "x y z"]:
    core = component(brain & (fluid > FLUID_CORE), grid, [(12, -10, 22), (-12, -10, 22)])
    x = np.abs(millimetres(grid)[0])
    return ndimage.binary_dilation(core, iterations=2, mask=brain & (fluid > FLUID) & (x >= 1))


def _callosum(template: Template, box: np.ndarray) -> Bool[np.ndarray, "x y z"]:
    """Extrude the callosum's midsagittal silhouette sideways through the white matter."""
    x, y, z = millimetres(template.grid)
    off_fornix = ((y + 4) / 27) ** 2 + ((z - 3) / 17) ** 2 >= 1
    white = (template.white > 0.5) & box & off_fornix
    silhouette = component(white & (np.abs(x) <= 2), template.grid, [(0, 28, 6), (0, -38, 12)]).any(axis=0)
    return np.logical_and(white, np.expand_dims(silhouette, 0))


def _parts(grid: Grid, fluid: np.ndarray, brain: np.ndarray) -> dict[str, Bool[np.ndarray, "x y z"]]:
    """Separate cerebrum and infratentorial brain by a watershed from their seeds, so that they meet in fluid."""
    height = np.where(in_boxes(grid, (TENTORIAL_NOTCH,)), 1, np.where(brain, fluid, 1))
    labels = np.zeros(grid.shape, dtype=np.int8)
    for label, positions in enumerate(SEEDS.values(), start=1):
        for position in positions:
            for side in (1, -1):
                labels[index_of(grid, (side * position[0], *position[1:]))] = label
    top = index_of(grid, (0, 0, TENTORIUM_TOP_MM))[2]
    height, low = height[:, :, :top], labels[:, :, :top]
    for level in FLOOD_LEVELS:
        basin, count = ndimage.label((height <= level) | (low > 0))
        holders = np.zeros((len(SEEDS) + 1, count + 1), dtype=bool)
        holders[low, basin] = True
        holders[:, 0] = False
        sole = holders[1:].sum(axis=0) == 1
        free = np.logical_and(low == 0, basin > 0)
        low[free] = np.where(sole, holders[1:].argmax(axis=0) + 1, 0)[basin[free]]
        contested = free & (holders[1:].sum(axis=0) > 1)[basin]
        if contested.any():
            nearest = ndimage.distance_transform_edt(low == 0, return_distances=False, return_indices=True)
            low[contested] = low[tuple(axis[contested] for axis in nearest)]
    labels[:, :, top:] = list(SEEDS).index("cerebrum") + 1
    return {name: brain & (labels == label) for label, name in enumerate(SEEDS, start=1)}


def _shared(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array
