"""Quality figures of prepared cases: what preprocessing did to each scan, and what of it a person should look at.

The record of a case (``provenance`` in its ``case.json``, a row of ``quality.tsv``) holds

=====================  =================================================================================================
``version``            of the program
``sources``            names of the files, without their folders
``shape``              of the scan's own grid
``spacing_mm``         of the scan's own grid
``axes``               of the scan's own grid, such as ``LPS``
``model_spacing_mm``   of the network's grid (its axes run RAS+)
``brain_ml``           volume of the brain mask
``brain_how``          where the mask is from: ``table``, ``stripped`` or the extractor's name
``brain_doubt``        why that may be wrong; empty where nothing is doubtful
``cropped_share``      share of the scan's volume that the network does not see, in [0, 1]
``modalities``         for each: ``file``, ``shape``, ``spacing_mm``, ``axes``; ``registration`` (how it came onto the
                       first one's grid), ``rotation_degrees``, ``shift_mm``; ``covered_share`` of the brain;
                       ``field_p99_over_p1`` of its bias field inside the brain (null where none was estimated);
                       ``extremes_sd_ratio``, ``farthest_sd``: see :func:`~joint_seg_cls.preprocess.intensity.extremes`
``lesions``            null without a reference, else ``raters``; ``native_count``, ``native_ml`` in the scan's grid,
                       ``model_count``, ``model_ml`` in the network's; ``erased``, ``erased_ml``: lesions of the scan of
                       which no voxel is left there; ``cropped``: those among them that lie outside the network's grid
``warnings``           what a person should look at, in sentences
=====================  =================================================================================================
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.scan import Geometry, PreparedCase
from joint_seg_cls.scan.cells import write_table

#: Brains of adults lie within this (millilitres); outside it the brain mask is probably wrong.
USUAL_BRAIN_ML = (900.0, 1900.0)
#: Small lesions fall between slices thicker than this.
THICK_MM = 4.5
#: A modality should cover this share of the brain.
WELL_COVERED = 0.98
#: Heads do not move further than this between the series of one visit.
LARGE_ROTATION_DEGREES = 20.0
LARGE_SHIFT_MM = 30.0


#: Extreme values that make the standard deviation larger by this factor, or that lie so many standard deviations from
#: the median, change what the network sees everywhere. Eleven real scans have at most 1.011 and 10.1.
EXTREMES_SD_RATIO, FARTHEST_SD = 1.05, 25.0
#: Lesions whose mean volume is below this many of the network's voxels fall between them; that is normal.
_NORMALLY_LOST_VOXELS = 2.0
#: Alike warnings that are listed one by one; more are counted in one.
_LISTED = 3


def lesion_figures(
    lesions: Bool[np.ndarray, "x y z"], seen: Bool[np.ndarray, "X Y Z"], geometry: Geometry, raters: int
) -> dict[str, Any]:
    """Compare the reference in the scan's grid with what the network's grid keeps of it; lesions are 26-connected.

    Args:
        lesions: the reference in the scan's own grid.
        seen: the same on the network's grid.
        geometry: both grids.
        raters: how many masks it was made of.
    """
    labels, count = label_lesions(lesions)
    voxels = np.bincount(labels.ravel(), minlength=count + 1)
    is_kept = np.zeros(count + 1, dtype=bool)
    is_kept[np.unique(geometry.to_model(labels, linear=False))] = True
    is_kept[0] = True
    is_inside = np.ones(count + 1, dtype=bool)
    if not is_kept.all():
        visible = geometry.to_native(np.ones(geometry.model.shape, dtype=bool), linear=False)
        is_inside = np.bincount(labels.ravel(), visible.ravel(), count + 1) > 0
    return {
        "raters": raters,
        "native_count": count,
        "native_ml": float(voxels[1:].sum() * geometry.native.voxel_ml),
        "model_count": label_lesions(seen)[1],
        "model_ml": float(seen.sum() * geometry.model.voxel_ml),
        "erased": int((~is_kept).sum()),
        "erased_ml": float(voxels[~is_kept].sum() * geometry.native.voxel_ml),
        "cropped": int((~is_kept & ~is_inside).sum()),
    }


def warnings_of(figures: Mapping[str, Any]) -> list[str]:
    """Return what a person should look at, from a case's figures (see the module's table), in plain sentences."""
    low, high = USUAL_BRAIN_ML
    thickest_mm = max(figures["spacing_mm"])
    found = []
    if not low <= figures["brain_ml"] <= high:
        found.append(
            f"brain volume {figures['brain_ml']:.0f} mL ({figures['brain_how']}) lies outside {low:.0f}-{high:.0f}: "
            "is this the brain?"
        )
    if figures.get("brain_doubt"):
        found.append(figures["brain_doubt"])
    if thickest_mm > THICK_MM:
        found.append(f"slices of {thickest_mm:.1f} mm are thicker than small lesions")
    found += [
        f"{modality['file']} has voxels of extreme intensity, up to {modality['farthest_sd']:.3g} standard deviations "
        "from the brain's median, which change what the network sees everywhere: set them to the intensity of their "
        "neighbours"
        for modality in figures["modalities"]
        if modality.get("extremes_sd_ratio", 1.0) > EXTREMES_SD_RATIO or modality.get("farthest_sd", 0) > FARTHEST_SD
    ]
    for modality in figures["modalities"][1:]:
        found += _warnings_of_modality(modality)
    lesions = figures.get("lesions")
    if lesions and lesions["erased"] > lesions["cropped"] and not _is_normal_loss(figures):
        found.append(f"the resize erases {lesions['erased'] - lesions['cropped']} of {lesions['native_count']} lesions")
    if lesions and lesions["cropped"]:
        found.append(f"{lesions['cropped']} of {lesions['native_count']} lesions lie outside the brain's box")
    return found


def _is_normal_loss(figures: Mapping[str, Any]) -> bool:
    """Return whether the lesions that the resize erases are about as small as a voxel of the network's grid."""
    lesions, spacing_mm = figures["lesions"], figures.get("model_spacing_mm")
    if spacing_mm is None or "erased_ml" not in lesions:
        return False
    return lesions["erased_ml"] / lesions["erased"] <= _NORMALLY_LOST_VOXELS * float(np.prod(spacing_mm)) / 1000


def without_numbers(text: str) -> str:
    """Return a warning with ``...`` for its numbers: alike warnings come out equal."""
    return re.sub(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", "...", text)


def counted_warnings(warnings: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each case and its warning; where more than three are alike, one line for all of them."""
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for case, warning in warnings:
        alike[without_numbers(warning)].append((case, warning))
    lines = []
    for group in alike.values():
        case, warning = group[0]
        counted = [f"{len(group)} scans, such as {case}: {warning}"]
        lines += counted if len(group) > _LISTED else [f"{case}: {warning}" for case, warning in group]
    return lines


def lost_lesions(cases: Sequence[PreparedCase], model_shape: Sequence[int]) -> str:
    """Return how many lesions the network's grid of ``model_shape`` voxels loses, in one sentence; empty if none."""
    lesions = {case.case: case.provenance["lesions"] for case in cases if case.provenance.get("lesions")}
    lost = {name: found["erased"] / found["native_count"] for name, found in lesions.items() if found["erased"]}
    if not lost:
        return ""
    worst = max(lost, key=lambda name: lost[name])
    return (
        f"{len(lost)} of {len(lesions)} scans with a reference lose lesions at {' x '.join(map(str, model_shape))} "
        f"({sum(found['erased'] for found in lesions.values())} of "
        f"{sum(found['native_count'] for found in lesions.values())} lesions): "
        f"worst {worst}: {lesions[worst]['erased']} of {lesions[worst]['native_count']}"
    )


def summary(cases: Sequence[PreparedCase], model_shape: Sequence[int]) -> list[str]:
    """Return one line on lost lesions; then the warnings of all cases, alike ones counted.

    Args:
        cases: the prepared cases.
        model_shape: voxels of the network's grid.
    """
    lost = lost_lesions(cases, model_shape)
    warnings = ((case.case, warning) for case in cases for warning in case.provenance.get("warnings", ()))
    return ([lost] if lost else []) + counted_warnings(warnings)


def write_quality(cases: Sequence[PreparedCase], path: Path) -> None:
    """Write one row of figures a case, as tab-separated text. Atomic."""
    rows = [{"case": case.case, **_flat(case.provenance)} for case in cases]
    write_table(pd.DataFrame(rows), path)


def _warnings_of_modality(modality: Mapping[str, Any]) -> list[str]:
    found = []
    if modality["covered_share"] < WELL_COVERED:
        found.append(f"{modality['file']} covers {100 * modality['covered_share']:.0f} % of the brain")
    if modality["rotation_degrees"] > LARGE_ROTATION_DEGREES or modality["shift_mm"] > LARGE_SHIFT_MM:
        found.append(
            f"{modality['file']} was turned by {modality['rotation_degrees']:.0f} degrees and moved by "
            f"{modality['shift_mm']:.0f} mm: is it the same head?"
        )
    return found


def _flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in figures.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}_")
        elif key == "modalities":
            for number, modality in enumerate(value, start=1):
                flat |= _flat(modality, f"modality_{number}_")
        elif isinstance(value, list | tuple):
            flat[name] = ("; " if key in ("warnings", "sources") else " ").join(
                f"{item:.6g}" if isinstance(item, float) else str(item) for item in value
            )
        else:
            flat[name] = value
    return flat
