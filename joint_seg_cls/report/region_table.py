"""Table of a study on lesions by anatomical region: detection and volume."""

from collections.abc import Iterable

import pandas as pd

from joint_seg_cls.evaluation import REGION_RULE, summarise_regions, withheld_note
from joint_seg_cls.metrics import Interval
from joint_seg_cls.report.page import PROPORTION_INTERVALS, PageCell, PageTable, with_interval
from joint_seg_cls.report.runs import ReportRun
from joint_seg_cls.report.variants import joint_or_first, pool, seed_note

_TITLE = "Lesions by anatomical region"
_COLUMNS = (
    *("region", "lesions", "recall", "predicted", "false"),
    *("mL", "predicted mL", "difference, mL"),
)


def region_tables(runs: Iterable[ReportRun], *, seed: int, resamples: int) -> dict[str, PageTable]:
    """Return the table of regions of the joint model, or else of the first variant that segments, by file name."""
    segmenting = [one for one in pool(runs) if one.segments]
    if not segmenting:
        return {}
    shown = joint_or_first(segmenting)
    regions = summarise_regions(shown.rows, seed=seed, resamples=resamples)
    note = withheld_note(shown.rows)
    if not regions["scans"].any():
        why = note or f"the tests of {shown.label} have no regions"
        return {"regions": PageTable(_TITLE, missing=why)}
    caption = (
        f"{shown.label_with_progress()}, {regions['scans'].max()} out-of-fold scans in their own grids. "
        "Lesions of the reference and their recall; predicted lesions and the share of false ones; both volumes and "
        "their difference, means over scans. "
        f"{REGION_RULE[0].upper()}{REGION_RULE[1:]}. A predicted lesion may have another region than that it detects. "
        f"{PROPORTION_INTERVALS}{seed_note([shown])}"
    )
    rows = [_cells(row) for _, row in regions.iterrows()]
    notes = [f"{note[0].upper()}{note[1:]}."] if note else []
    return {"regions": PageTable(_TITLE, _COLUMNS, rows, caption, notes)}


def _cells(row: pd.Series) -> list[PageCell]:
    def rate(name: str, end: str = "") -> PageCell:
        low, high = (float(row[f"{end or name}_{side}"]) for side in ("low", "high"))
        return with_interval(float(row[name]), Interval(low, high), digits=2)

    volumes = (PageCell(f"{row[name]:.2f}") for name in ("volume_reference_ml", "volume_predicted_ml"))
    return [
        PageCell(str(row["region"])),
        *(PageCell(str(row["lesions_reference"])), rate("recall")),
        *(PageCell(str(row["lesions_predicted"])), rate("false_share")),
        *volumes,
        rate("difference_ml", "difference"),
    ]
