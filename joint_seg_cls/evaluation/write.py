"""Writing the tables of a test."""

from pathlib import Path

import pandas as pd

from joint_seg_cls.evaluation.regions import summarise_regions
from joint_seg_cls.run_state import PER_CASE
from joint_seg_cls.scan.cells import write_table

_REGIONS = "regions.csv"
#: Files that a test writes.
EVALUATION_FILES = ("summary.csv", _REGIONS, PER_CASE)


def write_evaluation(rows: pd.DataFrame, summary: pd.DataFrame, folder: Path) -> None:
    """Write ``per_case.csv``, ``summary.csv`` and, if the regions of a scan are known, ``regions.csv``. Atomic."""
    folder.mkdir(parents=True, exist_ok=True)
    regions = summarise_regions(rows)
    tables = {"summary.csv": summary, _REGIONS: regions, PER_CASE: rows}
    if not regions["scans"].any():
        del tables[_REGIONS]
        (folder / _REGIONS).unlink(missing_ok=True)  # of an earlier test
    for name, table in tables.items():
        write_table(table, folder / name)
