"""Writing the tables of a test."""

from pathlib import Path

import pandas as pd

from joint_seg_cls.scan.cells import write_table


def write_evaluation(rows: pd.DataFrame, summary: pd.DataFrame, folder: Path) -> None:
    """Write ``per_case.csv`` and ``summary.csv`` to ``folder``. Atomic."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("summary.csv", summary), ("per_case.csv", rows)):
        write_table(table, folder / name)
