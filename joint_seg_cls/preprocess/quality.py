"""Quality measures of prepared cases: the effect of preprocessing on each scan, and warnings to check.

The record of a case (``provenance`` in its ``case.json``, a row of ``quality.tsv``) has

=====================  =================================================================================================
``version``            of the program
``sources``            names of the files, without their folders
``shape``              of the scan's own grid
``spacing_mm``         of the scan's own grid
``axes``               of the scan's own grid, such as ``LPS``
``model_spacing_mm``   of the network's grid (axes RAS+)
``brain_ml``           volume of the brain mask
``brain_how``          source of the mask: ``table``, ``stripped`` or the name of the extractor
``brain_doubt``        why the source may be wrong; empty if it is clear
``cropped_share``      fraction of the scan's volume outside the network's grid, in [0, 1]
``modalities``         for each: ``file``, ``shape``, ``spacing_mm``, ``axes``; ``registration`` (resampling to the
                       first one's grid), ``rotation_degrees``, ``shift_mm``; ``covered_share`` of the brain;
                       ``field_p99_over_p1`` of its bias field inside the brain (null if none was estimated);
                       ``extremes_sd_ratio``, ``farthest_sd``: see :func:`~joint_seg_cls.preprocess.intensity.extremes`
``lesions``            null without a reference, else ``raters``; ``native_count``, ``native_ml`` in the scan's grid,
                       ``model_count``, ``model_ml`` in the network's; ``erased``, ``erased_ml``: lesions of the scan
                       without a voxel left there; ``cropped``: those among them outside the network's grid
``warnings``           findings to check, as sentences
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

#: Range of adult brain volumes (millilitres); a brain mask outside it is probably wrong.
USUAL_BRAIN_ML = (900.0, 1900.0)
#: Thicker slices miss small lesions.
THICK_MM = 4.5
#: Minimum fraction of the brain that a modality should cover.
WELL_COVERED = 0.98
#: Maximum plausible motion between the series of one visit.
LARGE_ROTATION_DEGREES = 20.0
LARGE_SHIFT_MM = 30.0
#: Extreme values that increase the standard deviation by this factor, or that are this many standard deviations from
#: the median, change the normalised image everywhere. Eleven real scans have at most 1.011 and 10.1.
EXTREMES_SD_RATIO, FARTHEST_SD = 1.05, 25.0
#: Lesions with a mean volume below this number of model voxels may vanish; that is normal.
_NORMALLY_LOST_VOXELS = 2.0
#: Maximum number of similar warnings listed singly; more are summarised.
_LISTED = 3


def lesion_figures(
    lesions: Bool[np.ndarray, "x y z"], on_model: Bool[np.ndarray, "X Y Z"], geometry: Geometry, raters: int
) -> dict[str, Any]:
    """Compare the reference on the scan's grid and on the network's grid; lesions are 26-connected.

    Args:
        lesions: the reference in the scan's own grid.
        on_model: the reference on the network's grid.
        raters: number of masks combined in the reference.
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
        "model_count": label_lesions(on_model)[1],
        "model_ml": float(on_model.sum() * geometry.model.voxel_ml),
        "erased": int((~is_kept).sum()),
        "erased_ml": float(voxels[~is_kept].sum() * geometry.native.voxel_ml),
        "cropped": int((~is_kept & ~is_inside).sum()),
    }


def warnings_of(figures: Mapping[str, Any]) -> list[str]:
    """Return warnings from the quality measures of a case (see the table in the module docstring)."""
    low, high = USUAL_BRAIN_ML
    thickest_mm = max(figures["spacing_mm"])
    found = []
    if not low <= figures["brain_ml"] <= high:
        found.append(
            f"brain volume {figures['brain_ml']:.0f} mL ({figures['brain_how']}) is outside {low:.0f}-{high:.0f}: "
            "check the brain mask"
        )
    if figures.get("brain_doubt"):
        found.append(figures["brain_doubt"])
    if thickest_mm > THICK_MM:
        found.append(f"slices of {thickest_mm:.1f} mm are thicker than small lesions")
    found += [
        f"{modality['file']} has voxels of extreme intensity, up to {modality['farthest_sd']:.3g} standard deviations "
        "from the brain's median, which change the normalised image everywhere: set them to the intensity of their "
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
        found.append(f"{lesions['cropped']} of {lesions['native_count']} lesions are outside the box around the brain")
    return found


def _is_normal_loss(figures: Mapping[str, Any]) -> bool:
    """Return whether the erased lesions are about as small as a voxel of the network's grid."""
    lesions, spacing_mm = figures["lesions"], figures.get("model_spacing_mm")
    if spacing_mm is None or "erased_ml" not in lesions:
        return False
    return lesions["erased_ml"] / lesions["erased"] <= _NORMALLY_LOST_VOXELS * float(np.prod(spacing_mm)) / 1000


def without_numbers(text: str) -> str:
    """Replace numbers in a warning by ``...``, so that similar warnings are equal."""
    return re.sub(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", "...", text)


def counted_warnings(warnings: Iterable[tuple[str, str]]) -> list[str]:
    """Return one line per case and warning; more than three similar warnings share one line."""
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
    """Return a sentence with the number of lesions lost on a grid of ``model_shape`` voxels; empty if none."""
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
    """Return a line about lost lesions and the summarised warnings of all cases."""
    lost = lost_lesions(cases, model_shape)
    warnings = ((case.case, warning) for case in cases for warning in case.provenance.get("warnings", ()))
    return ([lost] if lost else []) + counted_warnings(warnings)


def write_quality(cases: Sequence[PreparedCase], path: Path) -> None:
    """Write one row of quality measures per case, as tab-separated text. Atomic."""
    rows = [{"case": case.case, **_flat(case.provenance)} for case in cases]
    write_table(pd.DataFrame(rows), path)


def _warnings_of_modality(modality: Mapping[str, Any]) -> list[str]:
    found = []
    if modality["covered_share"] < WELL_COVERED:
        found.append(f"{modality['file']} covers {100 * modality['covered_share']:.0f} % of the brain")
    if modality["rotation_degrees"] > LARGE_ROTATION_DEGREES or modality["shift_mm"] > LARGE_SHIFT_MM:
        found.append(
            f"{modality['file']} was rotated by {modality['rotation_degrees']:.0f} degrees and shifted by "
            f"{modality['shift_mm']:.0f} mm: check that it is the same head"
        )
    return found


def _flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in figures.items():
        name = f"{prefix}{key}"
        if key == "move":  # a matrix; its angle and shift are columns
            continue
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
