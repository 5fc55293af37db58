"""Reading and validating the per-case table of a run's test."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from joint_seg_cls.evaluation import WITHHELD
from joint_seg_cls.run_state import PER_CASE
from joint_seg_cls.scan.cells import read_written

#: Prefix of the columns of class probabilities.
PROBABILITY = "p_"
#: Prefix of the columns of class probabilities without calibration.
UNCALIBRATED = "uncalibrated_"
_TEXT = ("case", "subject", "session", "fold", "disease", WITHHELD)
_NEEDED = ("case", "subject", "fold", "disease", "dsc")
#: Probabilities are written with six digits.
_ROUNDING = 1e-4


def read_per_case(path: Path, scans: int | None = None) -> pd.DataFrame:
    """Return one row per test scan: names as text, other columns as numbers with NaN for empty cells.

    Args:
        scans: number of rows it must have; None if unknown.

    Raises:
        ValueError: the table is invalid; the message gives the reason.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{PER_CASE} is missing or unreadable") from error
    if not text.endswith("\n"):
        raise ValueError(f"{PER_CASE} ends in the middle of a line")
    try:
        rows = read_written(io.StringIO(text))
    except pd.errors.ParserError as error:
        raise ValueError(f"{PER_CASE} is not a table: {error}") from error
    if missing := [name for name in _NEEDED if name not in rows]:
        raise ValueError(f"{PER_CASE} lacks the column {', '.join(missing)}")
    if scans is not None and len(rows) != scans:
        raise ValueError(f"{PER_CASE} has {len(rows)} rows, but {scans} scans were tested")
    for name in rows.columns.difference(_TEXT, sort=False):
        rows[name] = _numbers(rows[name])
    _refuse_no_probabilities(rows[[name for name in rows if name.startswith(PROBABILITY)]])
    return rows


def _numbers(column: pd.Series) -> np.ndarray:
    texts = column.to_numpy(dtype=object)
    is_empty = texts == ""
    values = pd.to_numeric(np.where(is_empty, np.nan, texts), errors="coerce").astype(np.float64)
    wrong = (np.isnan(values) & ~is_empty) | np.isinf(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{PER_CASE}, line {row + 2}: {column.name} is {column.iloc[row]!r}, not a number")
    return values


def _refuse_no_probabilities(probability: pd.DataFrame) -> None:
    values = probability.to_numpy(dtype=np.float64)
    given = values[~np.isnan(values).all(axis=1)]
    if not given.size:
        return
    if not (np.abs(given.sum(axis=1) - 1) < _ROUNDING).all() or (given < 0).any():
        names = ", ".join(probability.columns)
        raise ValueError(f"{PER_CASE}: {names} are not the probabilities of all classes: they do not sum to 1")
