"""Detection and volume of lesions by anatomical region, over the scans of a test."""

import math

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from joint_seg_cls.evaluation.region_columns import COUNTS, VOLUMES, WITHHELD, column
from joint_seg_cls.lesions import REGIONS, Region
from joint_seg_cls.metrics import RESAMPLES, Interval, bootstrap_interval, proportion_interval

#: Definition of the regions, printed below every table.
REGION_RULE = (
    "region of a whole lesion, by affine registration of the template; detected: a voxel of the prediction overlaps; "
    "false: no voxel of the reference overlaps; scans that the template does not fit are excluded"
)
#: Different reasons that :func:`withheld_note` gives.
_REASONS = 3


def summarise_regions(rows: pd.DataFrame, *, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return one row per region, over the scans with a reference, a prediction and known regions.

    Columns: ``region``; ``scans``; ``lesions_reference``, ``lesions_detected``, ``recall`` and its 95 % interval
    ``recall_low``, ``recall_high``; ``lesions_predicted``, ``lesions_false``, ``false_share`` (of those predicted) and
    its interval; ``volume_reference_ml`` and ``volume_predicted_ml``, means over scans; ``difference_ml``, mean of
    predicted less reference volume, and its interval. Intervals are bootstraps over subjects.
    """
    return pd.DataFrame([_row(rows, region, seed, resamples) for region in REGIONS])


def withheld_note(rows: pd.DataFrame) -> str:
    """Return how many scans have no regions, and why; empty if all have."""
    withheld = [reason for reason in rows[WITHHELD] if reason] if WITHHELD in rows else []
    if not withheld:
        return ""
    shown = list(dict.fromkeys(withheld))[:_REASONS]
    more = "; ..." if len(set(withheld)) > _REASONS else ""
    return f"regions are withheld for {len(withheld)} of {len(rows)} scans: {'; '.join(shown)}{more}"


def print_regions(rows: pd.DataFrame, regions: pd.DataFrame) -> None:
    """Print the regions that have a lesion, and for how many scans they are withheld."""
    console = Console(width=100, highlight=False)
    found = regions[(regions["lesions_reference"] > 0) | (regions["lesions_predicted"] > 0)]
    if len(found):
        table = Table()
        for name in ("region", "lesions", "recall", "95 %", "predicted", "false", "mL", "predicted mL"):
            table.add_column(name, justify="left" if name in ("region", "95 %") else "right")
        for row in found.to_dict("records"):
            interval = "" if math.isnan(row["recall_low"]) else f"{row['recall_low']:.2f} to {row['recall_high']:.2f}"
            recall = "" if math.isnan(row["recall"]) else f"{row['recall']:.2f}"
            volumes = (f"{row[name]:.2f}" for name in ("volume_reference_ml", "volume_predicted_ml"))
            counts = (str(row[name]) for name in ("lesions_predicted", "lesions_false"))
            table.add_row(str(row["region"]), str(row["lesions_reference"]), recall, interval, *counts, *volumes)
        console.print(table)
        console.print(f"[dim]{REGION_RULE}; mL: means over {found['scans'].max()} scans[/dim]")
    if note := withheld_note(rows):
        console.print(note, style="dim", markup=False)


def _row(rows: pd.DataFrame, region: Region, seed: int, resamples: int) -> dict[str, object]:
    names = {what: column(what, region) for what in (*COUNTS, *VOLUMES)}
    known = rows.dropna(subset=list(names.values())) if set(names.values()) <= set(rows.columns) else rows.iloc[:0]
    values = {
        what: known[name].to_numpy(dtype=np.float64) if len(known) else np.zeros(0) for what, name in names.items()
    }
    group = known["subject"].to_numpy() if len(known) else np.zeros(0)
    draws = {"seed": seed, "resamples": resamples, "group": group}
    found: dict[str, object] = {"region": region, "scans": len(known)}
    for total, part, share in (
        ("lesions_reference", "lesions_detected", "recall"),
        ("lesions_predicted", "lesions_false", "false_share"),
    ):
        above, below = values[part], values[total]
        found |= {total: int(below.sum()), part: int(above.sum())}
        found |= {share: float(above.sum() / below.sum()) if below.sum() else math.nan}
        found |= _ends(share, proportion_interval(above, below, **draws))
    reference, predicted = (values[what] for what in VOLUMES)
    for name, each in (("volume_reference_ml", reference), ("volume_predicted_ml", predicted)):
        found[name] = float(each.mean()) if len(each) else math.nan
    difference = predicted - reference
    found["difference_ml"] = float(difference.mean()) if len(difference) else math.nan
    return found | _ends("difference", bootstrap_interval(difference, **draws))


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}
