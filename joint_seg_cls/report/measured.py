"""Metrics of a variant as in the paper's tables: over folds, with spread and interval."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from joint_seg_cls.evaluation import DISEASE_METRICS, LESION_METRICS, RECALLS, VOXEL_METRICS, LesionMetric, mean_of
from joint_seg_cls.metrics import (
    AcrossFolds,
    Ratio,
    across_folds,
    empty_references,
)
from joint_seg_cls.report.variants import Variant

_OVER_SCANS = {name: mean_of(column) for name, column in VOXEL_METRICS.items()} | LESION_METRICS
LOWER_IS_BETTER = frozenset({"VD", "LFPR", "ISBI LFPR", "HD95 mm"})


class Measured(NamedTuple):
    """A metric of a variant: number of scans, and its value across folds."""

    scans: int
    value: AcrossFolds


def measure(variant: Variant, metrics: Sequence[str], *, seed: int, resamples: int) -> dict[str, Measured]:
    """Return the ``metrics`` defined for the variant's finished runs.

    Args:
        metrics: names of :data:`VOXEL_METRICS`, :data:`DISEASE_METRICS` and ``LESION_METRICS``.
    """
    found = {}
    for name in metrics:
        one = (
            _of_diagnoses(variant, DISEASE_METRICS[name], seed, resamples)
            if name in DISEASE_METRICS
            else _of_scans(variant, _OVER_SCANS[name], seed, resamples)
        )
        if one is not None and not math.isnan(one.value.mean):
            found[name] = one
    return found


def empty_reference_note(variant: Variant) -> str:
    """Return results for scans with an empty reference, which means exclude; empty if there are none."""
    columns = ["lesions_reference", "volume_predicted_ml"]
    if not set(columns) <= set(variant.rows.columns):
        return ""
    drawn = variant.rows.dropna(subset=columns)
    found = empty_references(
        drawn["lesions_reference"].to_numpy() == 0, drawn["volume_predicted_ml"].to_numpy(dtype=np.float64)
    )
    if not found.n:
        return ""
    scans = drawn.loc[drawn["lesions_reference"] == 0, "case"].nunique()
    return (
        f"{variant.label}: {scans} scans, {found.predicted_empty:.0%} predicted empty, {found.false_positive_ml:.2f} mL"
    )


def lesion_notes(variants: Sequence[Variant]) -> list[str]:
    """Return the number of reference lesions by size, and results by MSSEG's rule for references without lesions."""
    largest = max(variants, key=lambda one: one.rows["case"].nunique())
    cases = largest.rows.drop_duplicates("case")
    sizes = {name: int(cases[each.columns[0]].sum()) for name, each in RECALLS.items() if each.columns[0] in cases}
    counted = ", ".join(f"{count} {name.removeprefix('recall ')}" for name, count in sizes.items())
    empty = [note for one in variants if (note := _msseg_empty(one))]
    return [
        *([f"Lesions of the reference: {counted}."] if sizes else []),
        *([f"MSSEG for references without a lesion above 3 mm3, on average: {'; '.join(empty)}."] if empty else []),
    ]


def _msseg_empty(variant: Variant) -> str:
    columns = ["msseg_f1", "msseg_false_lesions", "msseg_false_volume_mm3"]
    if not set(columns) <= set(variant.rows.columns):
        return ""
    rows = variant.rows[variant.rows[columns[0]].isna() & variant.rows[columns[1]].notna()]
    if rows.empty:
        return ""
    lesions, volume = (rows[name].mean() for name in columns[1:])
    return f"{variant.label}: {rows['case'].nunique()} scans, {lesions:.1f} false lesions, {volume:.0f} mm3"


def _of_scans(variant: Variant, metric: LesionMetric, seed: int, resamples: int) -> Measured | None:
    if not set(metric.columns) <= set(variant.rows.columns):
        return None
    rows = variant.rows.dropna(subset=[metric.columns[0]])
    if rows.empty:
        return None
    values = rows[list(metric.columns)].to_numpy(dtype=np.float64)
    keys = (rows[name].to_numpy() for name in ("fold", "seed", "subject"))
    parts = metric.parts if np.isfinite(values).all() else None
    over = (lambda own: metric.over(values[own])) if parts is None else Ratio(*parts(values))
    value = across_folds(over, *keys, draws_seed=seed, resamples=resamples)
    return Measured(rows["case"].nunique(), value)


def _of_diagnoses(
    variant: Variant, over: Callable[[np.ndarray, np.ndarray], float], seed: int, resamples: int
) -> Measured | None:
    rows = variant.diagnosed()
    if rows.empty or len(variant.classes) < 2:
        return None
    probability, disease = variant.probability(), variant.disease()
    keys = (rows[name].to_numpy() for name in ("fold", "seed", "subject"))
    value = across_folds(lambda own: over(probability[own], disease[own]), *keys, draws_seed=seed, resamples=resamples)
    return Measured(rows["case"].nunique(), value)
