"""Region of each lesion of a scan, and its distance to lateral ventricle and cortex."""

from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from joint_seg_cls.lesions.components import label_lesions
from joint_seg_cls.lesions.regions import JUXTACORTICAL_MM, PERIVENTRICULAR_MM
from joint_seg_cls.lesions.scan_anatomy import ScanAnatomy
from joint_seg_cls.scan.grid import Grid

#: Regions of lesions, see :func:`lesion_regions`.
Region = Literal[
    "periventricular",
    "juxtacortical",
    "deep white matter",
    "infratentorial",
    "corpus callosum",
    "deep grey",
    "around third and fourth ventricle",
    "optic or hypothalamic",
]
REGIONS: tuple[Region, ...] = get_args(Region)

#: Columns of :func:`lesion_regions` for the lesion table.
REGION_COLUMNS = ("region", "distance_to_ventricle_mm", "distance_to_cortex_mm")
#: Spacing of the positions at which a lesion is sampled.
_SAMPLE_MM = 1.0
#: Regions to which a lesion belongs if half of it is inside, by priority, and their masks.
_BY_SHARE: tuple[tuple[Region, str], ...] = (
    ("optic or hypothalamic", "optic_hypothalamic"),
    ("around third and fourth ventricle", "around_inner_ventricle"),
    ("infratentorial", "infratentorial"),
    ("corpus callosum", "callosum"),
    ("deep grey", "deep_grey"),
)


def region_key(region: Region) -> str:
    """Return the name of a region in column names."""
    return region.replace(" ", "_")


def lesion_regions(mask: Bool[np.ndarray, "x y z"], grid: Grid, anatomy: ScanAnatomy) -> pd.DataFrame:
    """Return region and distances of every lesion of ``mask``, one row each in the order of :func:`label_lesions`.

    A lesion is in the first of these regions that matches; a voxel counts as a box, sampled every millimetre:

    =====================================  ===========================================================================
    ``optic or hypothalamic``              half of it in hypothalamus, optic chiasm or tracts
    ``around third and fourth ventricle``  half of it within 3 mm of third or fourth ventricle or aqueduct
    ``infratentorial``                     half of it in brain stem or cerebellum
    ``corpus callosum``                    half of it in the callosum
    ``deep grey``                          half of it in thalamus or basal ganglia
    ``periventricular``                    a point within 3 mm of the lateral ventricles
    ``juxtacortical``                      a point within 1.5 mm of the cerebral cortex
    ``deep white matter``                  any other
    =====================================  ===========================================================================

    Returns:
        Columns ``region``; ``distance_to_ventricle_mm`` and ``distance_to_cortex_mm`` of the nearest point of the
        lesion; for :mod:`~joint_seg_cls.lesions.criteria`: ``near_cortex`` (share of the lesion within 3 mm of the
        cortex), ``inferior_temporal`` (share in the inferior temporal lobe), ``at_ventricle_body`` (a point within 3 mm
        of the lateral ventricle's body), ``away_{x,y,z}`` (unit vector away from the lateral ventricles).
    """
    labels, count = label_lesions(mask)
    where = np.argwhere(labels)
    owner = labels[tuple(where.T)]
    order = np.argsort(owner, kind="stable")
    parts = np.split(where[order], np.cumsum(np.bincount(owner, minlength=count + 1)[1:])[:-1]) if count else []
    rows = [_row(_positions_mm(voxels, grid), anatomy) for voxels in parts]
    columns = (
        *REGION_COLUMNS,
        *("near_cortex", "inferior_temporal", "at_ventricle_body", "away_x", "away_y", "away_z"),
    )
    return pd.DataFrame(rows, columns=list(columns))


def _row(scan_mm: Float[np.ndarray, "n 3"], anatomy: ScanAnatomy) -> tuple[object, ...]:
    to_ventricle, to_cortex = anatomy.to_ventricle_mm(scan_mm), anatomy.to_cortex_mm(scan_mm)
    ventricle_mm, cortex_mm = float(to_ventricle.min()), float(to_cortex.min())
    touching = scan_mm[to_ventricle <= PERIVENTRICULAR_MM]
    at_body = bool(len(touching)) and bool(anatomy.inside("ventricle_body", touching).any())
    return (
        *(_region(scan_mm, anatomy, ventricle_mm, cortex_mm), ventricle_mm, cortex_mm),
        float((to_cortex <= 2 * JUXTACORTICAL_MM).mean()),
        float(anatomy.inside("inferior_temporal", scan_mm).mean()),
        at_body,
        *anatomy.from_ventricle(scan_mm).tolist(),
    )


def _region(scan_mm: Float[np.ndarray, "n 3"], anatomy: ScanAnatomy, ventricle_mm: float, cortex_mm: float) -> Region:
    for region, name in _BY_SHARE:
        if anatomy.inside(name, scan_mm).mean() >= 0.5:
            return region
    if ventricle_mm <= PERIVENTRICULAR_MM:
        return "periventricular"
    return "juxtacortical" if cortex_mm <= JUXTACORTICAL_MM else "deep white matter"


def _positions_mm(voxels: np.ndarray, grid: Grid) -> Float[np.ndarray, "n 3"]:
    """Return positions at most ``_SAMPLE_MM`` apart that fill the voxels."""
    parts = [max(1, int(np.ceil(spacing / _SAMPLE_MM - 1e-3))) for spacing in grid.spacing_mm]
    within = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in parts), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    index = (voxels[:, None, :] + within).reshape(-1, 3)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
