"""Lesion-wise part of a summary: means over scans, the ISBI score, and recall over lesions."""

from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
import pandas as pd
from jaxtyping import Float

from joint_seg_cls.evaluation.lesion_columns import SURFACE_DICE
from joint_seg_cls.evaluation.region_columns import column
from joint_seg_cls.lesions import REGIONS
from joint_seg_cls.metrics import (
    SIZES,
    SURFACE_TOLERANCE_MM,
    Interval,
    bootstrap_interval,
    bootstrap_ratio,
    isbi_score,
)

#: Means over scans: name in tables, and column of ``per_case.csv``.
LESION_MEANS = {
    "LTPR": "ltpr",
    "LFPR": "lfpr",
    "lesion F1": "lesion_f1",
    "ISBI LTPR": "isbi_ltpr",
    "ISBI LFPR": "isbi_lfpr",
    "MSSEG SensL": "msseg_sensl",
    "MSSEG PPVL": "msseg_ppvl",
    "MSSEG F1": "msseg_f1",
    "HD95 mm": "hd95_mm",
    f"surface Dice {SURFACE_TOLERANCE_MM:g} mm": SURFACE_DICE,
}
#: Definition of the lesion-wise metrics, printed below every table.
LESION_RULE = (
    "LTPR, LFPR, lesion F1 and recall: 26-connected lesions, detected if one voxel overlaps; ISBI-2015: the same, "
    "18-connected; its score includes the correlation of volumes across the scans (of a fold) and is not rescaled, and "
    "a scan without predicted lesions scores no precision; MSSEG (Anima): 6-connected, above 3 mm3, alpha 0.10, beta "
    "0.70, gamma 0.65; reference empty (for MSSEG: no lesion above 3 mm3): all undefined and excluded; only prediction "
    "empty: LTPR = F1 = surface Dice = 0, LFPR, PPVL undefined, HD95 the diagonal of the grid; surface "
    f"Dice: within {SURFACE_TOLERANCE_MM:g} mm"
)
_SCORE = ("dsc", "ppv", "isbi_ltpr", "isbi_lfpr", "volume_reference_ml", "volume_predicted_ml")


@final
class LesionMetric(NamedTuple):
    """A metric over scans: its columns of ``per_case.csv``, and its function.

    Scans with NaN in the first column are excluded; ``over`` receives the others, one row per scan. ``parts`` returns
    two values of each scan, if the metric is the ratio of their sums.
    """

    columns: tuple[str, ...]
    over: Callable[[Float[np.ndarray, "scans columns"]], float]
    parts: Callable[[Float[np.ndarray, "scans columns"]], tuple[np.ndarray, np.ndarray]] | None = None


def mean_of(column: str) -> LesionMetric:
    """Return the mean of a column over the scans with a value."""
    return LesionMetric(
        (column,), lambda values: float(values.mean()), lambda values: (values[:, 0], np.ones(len(values)))
    )


def _score(values: Float[np.ndarray, "scans 6"]) -> float:
    return isbi_score(*values.T)


def _recall(values: Float[np.ndarray, "scans 2"]) -> float:
    reference, detected = values.sum(axis=0)
    return float(detected / reference) if reference else np.nan


def _counts(values: Float[np.ndarray, "scans 2"]) -> tuple[np.ndarray, np.ndarray]:
    return values[:, 1], values[:, 0]


#: Recall by lesion size, over the lesions of all scans.
RECALLS = {
    f"recall {size.replace('_', ' ')}": LesionMetric(
        (f"lesions_reference_{size}", f"lesions_detected_{size}"), _recall, _counts
    )
    for size in SIZES
}
#: Recall by anatomical region, over the lesions of the scans whose regions are known.
REGION_RECALLS = {
    f"recall {region}": LesionMetric(
        (column("lesions_reference", region), column("lesions_detected", region)), _recall, _counts
    )
    for region in REGIONS
}
#: All lesion-wise and surface metrics, by their names in tables.
LESION_METRICS = (
    {name: mean_of(mean) for name, mean in LESION_MEANS.items()}
    | {"ISBI score": LesionMetric(_SCORE, _score)}
    | RECALLS
    | REGION_RECALLS
)


def isbi_row(rows: pd.DataFrame, seed: int) -> dict[str, object]:
    """Return the ISBI-2015 score of a test as a row of its summary."""
    scans = rows[rows["dsc"].notna()]
    values = scans[list(_SCORE)].to_numpy(dtype=np.float64)
    interval = bootstrap_interval(values, _score, group=scans["subject"].to_numpy(), seed=seed)
    return _row("ISBI score", len(scans), _score(values) if len(scans) else np.nan, interval)


def recall_rows(rows: pd.DataFrame, seed: int) -> list[dict[str, object]]:
    """Return the fraction of reference lesions detected, pooled over scans, one row per size class."""
    measured = []
    for name, metric in RECALLS.items():
        scans = rows[[*metric.columns, "subject"]].dropna()
        counts = scans[list(metric.columns)].to_numpy(dtype=np.float64)
        reference, detected = counts.T
        interval = bootstrap_ratio(detected, reference, group=scans["subject"].to_numpy(), seed=seed)
        measured.append(_row(name, int(reference.sum()), metric.over(counts), interval))
    return measured


def _row(label: str, n: int, value: float, interval: Interval) -> dict[str, object]:
    return {
        "metric": label,
        "space": "native",
        "n": n,
        "value": value,
        "sd": np.nan,
        "low": interval.low,
        "high": interval.high,
    }
