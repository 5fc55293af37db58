"""Summary of a per-case table: means with 95 % intervals, bootstrapped over subjects."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from joint_seg_cls.evaluation.lesion_summary import LESION_MEANS, LESION_RULE, isbi_row, recall_rows
from joint_seg_cls.evaluation.per_case import EMPTY_RULE
from joint_seg_cls.evaluation.regions import print_regions, summarise_regions
from joint_seg_cls.metrics import accuracy, auc, bootstrap_interval, empty_references, sensitivity, specificity
from joint_seg_cls.metrics import summarise as mean_over_scans

Measure = Callable[[np.ndarray, np.ndarray], float]
#: Voxel-wise metrics of single scans, and their columns in ``per_case.csv``.
VOXEL_METRICS = {"DSC": "dsc", "PPV": "ppv", "TPR": "tpr", "VD": "vd"}
#: Metrics over scans: functions of class probabilities and true classes.
DISEASE_METRICS: dict[str, Measure] = {"ACC": accuracy, "SN": sensitivity, "SP": specificity, "AUC": auc}


def summarise(rows: pd.DataFrame, classes: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """Return one row per metric: ``metric``, ``space``, ``n``, ``value``, ``sd``, ``low``, ``high`` (95 % interval).

    DSC, PPV, TPR and VD are means over scans, on the scan's own grid and on the network's; ACC, SN, SP and AUC are over
    scans with a known disease (the last class is positive). Intervals are percentile bootstraps over subjects.
    Lesion-wise metrics on the scan's own grid follow: means over scans, the ISBI score over all scans, and recall by
    size over lesions (``n`` is then the number of lesions).
    """
    columns = [
        *((label, "native", column) for label, column in VOXEL_METRICS.items()),
        *((label, "model", f"{column}_model") for label, column in VOXEL_METRICS.items()),
        ("DSC ceiling", "native", "dsc_ceiling"),
        *((label, "native", column) for label, column in LESION_MEANS.items()),
    ]
    measured = [_mean(label, space, rows, column, seed) for label, space, column in columns]
    measured += [isbi_row(rows, seed), *recall_rows(rows, seed)]
    known = rows[rows["disease"].isin(list(classes)) & rows[f"p_{classes[0]}"].notna()]
    for label, measure in DISEASE_METRICS.items():
        measured.append(_over_scans(label, known, measure, classes, seed))
    return pd.DataFrame(measured)


def print_summary(rows: pd.DataFrame, summary: pd.DataFrame, title: str) -> None:
    """Print the summary of a test."""
    table = Table()
    for name, justify in (("metric", "left"), ("space", "left"), ("n", "right"), ("value", "right"), ("95 %", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in summary[summary["n"] > 0].to_dict("records"):
        interval = "" if np.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
        value = "undefined" if np.isnan(row["value"]) else f"{row['value']:.3f}"
        table.add_row(str(row["metric"]), str(row["space"]), str(row["n"]), value, interval)
    console = Console(width=100, highlight=False)
    console.print(title, style="bold", soft_wrap=True, markup=False)
    console.print(table)
    console.print(f"[dim]{EMPTY_RULE}; intervals: bootstrap over {rows['subject'].nunique()} subjects[/dim]")
    if (summary["metric"].isin(list(LESION_MEANS)) & (summary["n"] > 0)).any():
        console.print(f"[dim]{LESION_RULE}; n of recall counts lesions[/dim]")
    drawn = rows[rows["lesions_reference"].notna() & rows["volume_predicted_ml"].notna()]
    empty = empty_references(drawn["lesions_reference"].to_numpy() == 0, drawn["volume_predicted_ml"].to_numpy())
    if empty.n:
        console.print(
            f"[dim]{empty.n} scans with an empty reference: {empty.predicted_empty:.0%} predicted empty, "
            f"{empty.false_positive_ml:.2f} mL false positive on average[/dim]"
        )
    print_regions(rows, summarise_regions(rows))


def _mean(label: str, space: str, rows: pd.DataFrame, column: str, seed: int) -> dict[str, object]:
    found = mean_over_scans(rows[column].to_numpy(dtype=np.float64), seed=seed, group=rows["subject"].to_numpy())
    low, high = found.interval
    return {
        "metric": label,
        "space": space,
        "n": found.n,
        "value": found.mean,
        "sd": found.sd,
        "low": low,
        "high": high,
    }


def _over_scans(
    label: str, rows: pd.DataFrame, measure: Measure, classes: Sequence[str], seed: int
) -> dict[str, object]:
    codes = {name: code for code, name in enumerate(classes)}
    probability = rows[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
    disease = rows["disease"].map(codes).to_numpy(dtype=np.int64)

    def over(chosen: np.ndarray) -> float:
        return measure(probability[chosen], disease[chosen])

    every = np.arange(len(rows))
    value = over(every) if len(rows) else np.nan
    low, high = bootstrap_interval(every, over, group=rows["subject"].to_numpy(), seed=seed)
    return {"metric": label, "space": "scan", "n": len(rows), "value": value, "sd": np.nan, "low": low, "high": high}
