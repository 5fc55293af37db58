"""From one row a scan to the numbers of a paper: means with 95 % intervals, bootstrapped over subjects."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from joint_seg_cls.evaluation.per_case import EMPTY_RULE
from joint_seg_cls.metrics import accuracy, auc, bootstrap_interval, sensitivity, specificity

_VOXEL = {"DSC": "dsc", "PPV": "ppv", "TPR": "tpr", "VD": "vd"}
Statistic = Callable[[pd.DataFrame], float]


def summarise(rows: pd.DataFrame, classes: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """Return one row a metric: ``metric``, ``space``, ``n``, ``value``, ``low``, ``high`` (95 % interval).

    DSC, PPV, TPR and VD are means over scans, in the scan's own grid and on the network's; ACC, SN, SP and AUC are over
    scans with a known disease (the last class is the positive one). Intervals are percentile bootstraps over subjects.
    """
    measured = []
    for suffix, space in (("", "native"), ("_model", "model")):
        for label, column in _VOXEL.items():
            values = rows[rows[f"{column}{suffix}"].notna()]
            measured.append(_measure(label, space, values, _mean_of(f"{column}{suffix}"), seed))
    ceiling = rows[rows["dsc_ceiling"].notna()]
    measured.append(_measure("DSC ceiling", "native", ceiling, _mean_of("dsc_ceiling"), seed))
    known = rows[rows["disease"].isin(list(classes)) & rows[f"p_{classes[0]}"].notna()]
    for label, measure in (("ACC", accuracy), ("SN", sensitivity), ("SP", specificity), ("AUC", auc)):
        measured.append(_measure(label, "scan", known, _of_diseases(measure, classes), seed))
    return pd.DataFrame(measured)


def empty_references(rows: pd.DataFrame) -> dict[str, float]:
    """Return what the means leave out: scans whose reference is empty, the share predicted empty, mean false-positive mL."""
    empty = rows[rows["lesions_reference"] == 0]
    predicted = empty[empty["lesions_predicted"].notna()]
    return {
        "n": len(empty),
        "predicted_empty": float((predicted["lesions_predicted"] == 0).mean()) if len(predicted) else np.nan,
        "false_positive_ml": float(predicted["false_positive_ml"].mean()) if len(predicted) else np.nan,
    }


def print_summary(rows: pd.DataFrame, summary: pd.DataFrame, title: str) -> None:
    """Print the table that a person reads after a test."""
    table = Table(title=title, title_justify="left")
    for name, justify in (("metric", "left"), ("space", "left"), ("n", "right"), ("value", "right"), ("95 %", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in summary[summary["n"] > 0].to_dict("records"):
        interval = "" if np.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
        value = "undefined" if np.isnan(row["value"]) else f"{row['value']:.3f}"
        table.add_row(str(row["metric"]), str(row["space"]), str(row["n"]), value, interval)
    console = Console(width=100)
    console.print(table)
    console.print(f"[dim]{EMPTY_RULE}; intervals: bootstrap over {rows['subject'].nunique()} subjects[/dim]")
    if (empty := empty_references(rows))["n"]:
        console.print(
            f"[dim]{empty['n']:.0f} scans with an empty reference: {empty['predicted_empty']:.0%} predicted empty, "
            f"{empty['false_positive_ml']:.2f} mL false positive on average[/dim]"
        )


def _measure(label: str, space: str, rows: pd.DataFrame, statistic: Statistic, seed: int) -> dict[str, object]:
    value = statistic(rows) if len(rows) else np.nan
    low, high = bootstrap_interval(rows, statistic, group="subject", seed=seed) if len(rows) else (np.nan, np.nan)
    return {"metric": label, "space": space, "n": len(rows), "value": value, "low": low, "high": high}


def _mean_of(column: str) -> Statistic:
    return lambda rows: float(rows[column].mean())


def _of_diseases(measure: Callable[..., float], classes: Sequence[str]) -> Statistic:
    codes = {name: code for code, name in enumerate(classes)}

    def statistic(rows: pd.DataFrame) -> float:
        probability = rows[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
        return measure(probability, rows["disease"].map(codes).to_numpy(dtype=np.int64))

    return statistic
