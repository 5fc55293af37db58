"""Imaging features that separate MS from NMOSD and follow from geometry: Dawson's fingers, the "one third" rule.

Each is ``true``, ``false`` or ``unknown`` (the regions are withheld, or the scan cannot show it).

[1] Matthews et al. 2013, Neurology 80:1330, PMC3656462.
[2] Juryńczyk et al. 2017, validation of [1], https://doi.org/10.1136/jnnp-2016-314005
"""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import pandas as pd
from jaxtyping import Float

from joint_seg_cls.lesions.features import ELONGATED, SHAPED_ML, SINGLE_ML
from joint_seg_cls.lesions.regions import PERIVENTRICULAR_MM

#: Value of a criterion.
Answer = Literal["true", "false", "unknown"]
#: Largest angle between the long axis of a Dawson's finger and the normal of the ventricular wall.
FINGER_DEGREES = 37.0
#: Thicker slices do not show in which direction a small lesion is elongated.
THICKEST_MM = 4.0
#: Least share of a lesion along the cortex, and least ratio of its longest and shortest axis.
ALONG_CORTEX, CURVED = 0.5, 2.0
#: Least share of a lesion in the inferior temporal lobe.
IN_LOBE = 0.5


@final
@dataclass(frozen=True)
class Criterion:
    """A feature of the lesions of one person.

    Attributes:
        value: whether it is present.
        lesions: the lesions that show it, numbered as in the table.
    """

    value: Answer
    lesions: tuple[int, ...] = ()


def dawson_finger(table: pd.DataFrame, slice_mm: float) -> Criterion:
    """Candidate Dawson's fingers: ovoid lesions at the lateral ventricle's body, perpendicular to its wall [1].

    A candidate has a point within 3 mm of the body, 0.03 to 3 mL, a long axis of at least 1.5 times the middle one,
    and at most 37 degrees between it and the direction away from the ventricle. Without a candidate the answer is
    ``unknown`` if a larger lesion at the body may hide one, else ``false``. With slices thicker than 4 mm it is always
    ``unknown``.

    Args:
        table: joined columns of :func:`~joint_seg_cls.lesions.lesion_table` and
            :func:`~joint_seg_cls.lesions.scan_regions.lesion_regions`.
        slice_mm: largest side of a voxel.
    """
    if slice_mm > THICKEST_MM:
        return Criterion("unknown")
    body = table[table["at_ventricle_body"].astype(bool)]
    single = body[(body["volume_ml"] >= SHAPED_ML) & (body["volume_ml"] <= SINGLE_ML)]
    ovoid = single[single["long_mm"] >= ELONGATED * single["middle_mm"]]
    cosine = np.abs((_vectors(ovoid, "direction") * _vectors(ovoid, "away")).sum(axis=1))
    found = ovoid["lesion"][cosine >= np.cos(np.deg2rad(FINGER_DEGREES))]
    if len(found):
        return Criterion("true", _numbers(found))
    return Criterion("unknown" if (body["volume_ml"] > SINGLE_ML).any() else "false")


def u_fibre(table: pd.DataFrame, slice_mm: float) -> Criterion:
    """Candidate U-fibre lesions: juxtacortical lesions that follow the cortex [1].

    A candidate is a juxtacortical lesion of at least 0.03 mL with half of it within 3 mm of the cortex and a long axis
    of at least twice the short one. The answer is ``unknown`` if slices are thicker than 4 mm.
    """
    if slice_mm > THICKEST_MM:
        return Criterion("unknown")
    near = table[(table["region"] == "juxtacortical") & (table["volume_ml"] >= SHAPED_ML)]
    along = near[(near["near_cortex"] >= ALONG_CORTEX) & (near["long_mm"] >= CURVED * near["short_mm"])]
    return Criterion("true" if len(along) else "false", _numbers(along["lesion"]))


def body_and_temporal(table: pd.DataFrame) -> Criterion:
    """A lesion at the body of a lateral ventricle, and one in the inferior temporal lobe [1].

    The first has a point within 3 mm of the body and is periventricular; half of the second is in the lobe.
    """
    close = table["distance_to_ventricle_mm"] <= PERIVENTRICULAR_MM
    body = table["lesion"][table["at_ventricle_body"].astype(bool) & close]
    lobe = table["lesion"][table["inferior_temporal"] >= IN_LOBE]
    both = len(body) > 0 and len(lobe) > 0
    return Criterion("true" if both else "false", _numbers(pd.concat([body, lobe])) if both else ())


def one_third_rule(finger: Criterion, fibre: Criterion, temporal: Criterion) -> Criterion:
    """One of three criteria for MS against NMOSD [1, 2]: body and temporal lobe, U-fibre lesion, or Dawson's finger.

    ``true`` if one is, ``false`` if all are, else ``unknown``.
    """
    parts = (finger, fibre, temporal)
    if any(part.value == "true" for part in parts):
        return Criterion("true", tuple(sorted({number for part in parts for number in part.lesions})))
    return Criterion("unknown" if any(part.value == "unknown" for part in parts) else "false")


def criteria(table: pd.DataFrame | None, slice_mm: float) -> dict[str, Criterion]:
    """Return all criteria by name; without regions (``table`` is None) all are ``unknown``."""
    if table is None:
        return dict.fromkeys(("dawson_finger", "u_fibre", "body_and_temporal", "one_third_rule"), Criterion("unknown"))
    finger, fibre, temporal = dawson_finger(table, slice_mm), u_fibre(table, slice_mm), body_and_temporal(table)
    return {
        "dawson_finger": finger,
        "u_fibre": fibre,
        "body_and_temporal": temporal,
        "one_third_rule": one_third_rule(finger, fibre, temporal),
    }


def _vectors(table: pd.DataFrame, name: str) -> Float[np.ndarray, "n 3"]:
    return table[[f"{name}_{axis}" for axis in "xyz"]].to_numpy(dtype=np.float64)


def _numbers(column: pd.Series) -> tuple[int, ...]:
    return tuple(sorted({int(number) for number in column}))
