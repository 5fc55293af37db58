"""Anatomy of the MNI152 template in one small file, for the regions of lesions in scans.

The file ``template_map.npz`` is made from :func:`~joint_seg_cls.lesions.regions.template_regions`, which takes half a
minute (``python -m joint_seg_cls.lesions.template_map``). Its source is the ICBM 2009a nonlinear symmetric template, as
nilearn distributes it; ``template_map.txt`` is its licence.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from joint_seg_cls.lesions.geometry import Box, in_boxes
from joint_seg_cls.lesions.regions import BOXES, template_regions
from joint_seg_cls.scan.grid import Grid
from joint_seg_cls.scan.template import load_template

#: Masks in the file, one bit each.
MASKS = (
    *("brain", "lateral_ventricle", "inner_ventricle", "around_inner_ventricle"),
    *("infratentorial", "callosum", "deep_grey", "optic_hypothalamic"),
)
#: A further byte of masks.
MORE_MASKS = ("inferior_temporal", "ventricle_body")
#: Distance maps in the file, the millimetres of one step of their bytes, and the largest value.
DISTANCES, STEP_MM = ("lateral_ventricle", "cortex"), 0.5
FARTHEST_MM = 30.0
#: Third and fourth ventricle and aqueduct, and the thickness of the tissue around them.
INNER_VENTRICLES, AROUND_MM = ("third_ventricle", "fourth_ventricle", "aqueduct"), 3.0
#: Least probability of grey matter in deep grey nuclei.
GREY = 0.4
#: Optic chiasm and tracts; the pallidum, which has the intensity of white matter; the body of the lateral ventricle,
#: from the foramen of Monro to the splenium. MNI mm, x as distance from the midline.
OPTIC: tuple[Box, ...] = (((0, 12), (-2, 10), (-22, -12)), ((8, 20), (-12, 0), (-16, -8)))
PALLIDUM: tuple[Box, ...] = (((13, 24), (-11, 5), (-7, 4)),)
BODY: tuple[Box, ...] = (((0, 45), (-40, 8), (10, 45)),)
#: Brightness of grey matter relative to white matter on FLAIR.
FLAIR_GREY = 1.1


@final
@dataclass(frozen=True, eq=False)
class TemplateMap:
    """The template at 2 mm; the arrays are shared and read-only.

    Attributes:
        grid: voxels of 2 mm in MNI space.
        tissue: brightness of a FLAIR without lesions, in units of 1/100 of white matter; fluid is dark.
        masks: by the names of ``MASKS`` and ``MORE_MASKS``.
        distance: distance to the nearest voxel of a structure, in steps of ``STEP_MM``; 60 for 30 mm and more,
            and outside the brain.
    """

    grid: Grid
    tissue: UInt8[np.ndarray, "x y z"]
    masks: dict[str, Bool[np.ndarray, "x y z"]]
    distance: dict[str, UInt8[np.ndarray, "x y z"]]


@lru_cache(maxsize=1)
def template_map() -> TemplateMap:
    """Return the map from the file."""
    with np.load(str(files("joint_seg_cls.lesions") / "template_map.npz")) as stored:
        volumes = {name: stored[name] for name in stored.files}
    affine = volumes.pop("affine")
    x, y, z = volumes["tissue"].shape
    masks = {name: (volumes[part] >> bit & 1).astype(bool) for part, names in _PARTS for bit, name in enumerate(names)}
    distance = {name: volumes[name] for name in DISTANCES}
    for volume in (volumes["tissue"], *masks.values(), *distance.values()):
        volume.setflags(write=False)
    return TemplateMap(Grid((x, y, z), affine), volumes["tissue"], masks, distance)


_PARTS = (("masks", MASKS), ("more_masks", MORE_MASKS))


def make_template_map() -> TemplateMap:
    """Derive the map from the template and its regions."""
    fine, regions, whole = load_template(1), template_regions(1), template_regions(2)
    mask, grid, box = regions.masks, regions.grid, in_boxes
    tissue = fine.brain & (1 - fine.white - fine.grey < 0.5) & ~mask["lateral_ventricle"]
    near = np.minimum.reduce([regions.distance_mm[name] for name in INNER_VENTRICLES]) <= AROUND_MM
    optic = mask["hypothalamus"] | (box(grid, OPTIC) & tissue)
    nuclei = (fine.grey > GREY) & box(grid, BOXES["deep_grey"]) & mask["cerebrum"] | box(grid, PALLIDUM) & tissue
    masks = {
        "brain": fine.brain,
        "lateral_ventricle": mask["lateral_ventricle"],
        "inner_ventricle": mask["third_ventricle"] | mask["fourth_ventricle"] | mask["aqueduct"],
        "around_inner_ventricle": near & tissue,
        "infratentorial": mask["infratentorial"],
        "callosum": mask["callosum"],
        "deep_grey": (mask["thalamus"] | nuclei) & ~mask["callosum"] & ~mask["internal_capsule"] & ~optic & tissue,
        "optic_hypothalamic": optic,
        "inferior_temporal": mask["inferior_temporal"],
        "ventricle_body": box(grid, BODY),
    }
    bright = np.where(fine.brain, fine.white + FLAIR_GREY * fine.grey, 0)
    bright = ndimage.gaussian_filter(bright, 0.8)[::2, ::2, ::2]
    brain = fine.brain[::2, ::2, ::2]
    distance = {
        name: np.where(brain, np.minimum(whole.distance_mm[name], FARTHEST_MM), FARTHEST_MM) for name in DISTANCES
    }
    return TemplateMap(
        whole.grid,
        np.round(100 * bright).astype(np.uint8),
        {name: volume[::2, ::2, ::2] for name, volume in masks.items()},
        {name: np.round(volume / STEP_MM).astype(np.uint8) for name, volume in distance.items()},
    )


def write_template_map(made: TemplateMap, path: Path) -> None:
    """Write a map to a file that :func:`template_map` reads."""
    packed: dict[str, Any] = {
        part: sum((made.masks[name].astype(np.uint8) << bit for bit, name in enumerate(names)), np.uint8(0))
        for part, names in _PARTS
    }
    packed |= {"affine": made.grid.affine, "tissue": made.tissue, **made.distance}
    np.savez_compressed(path, **packed)


if __name__ == "__main__":
    write_template_map(make_template_map(), Path(str(files("joint_seg_cls.lesions") / "template_map.npz")))
