"""How sure one can be of a number: 95 % percentile bootstrap over subjects."""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

#: Resamples of a bootstrap; enough for two digits of an interval's ends.
RESAMPLES = 1000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Where a number lies with 95 % confidence."""

    low: float
    high: float


def bootstrap_interval(
    values: np.ndarray | pd.DataFrame | pd.Series | Sequence[float],
    statistic: Callable[[Any], float] | None = None,
    *,
    seed: int,
    group: str | Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the percentile bootstrap interval of a statistic, resampling whole subjects.

    Scans of one subject are not independent, so subjects are drawn with replacement and bring all their scans. A
    resample whose statistic is undefined (an AUC with one class only) is left out; with none left the interval is NaN.

    Args:
        values: one value a scan, or a table with one row a scan.
        statistic: from a selection of ``values`` (of the same type) to a number; by default the mean of what is not
            NaN.
        seed: of the draws; one seed gives one interval.
        group: the subject of each scan, or the table's column that names it; ``None`` if each scan stands alone.
        resamples: number of draws.
        confidence: share of draws inside the interval.
    """
    rows: Any = values if isinstance(values, pd.DataFrame) else np.asarray(values)
    if len(rows) == 0:
        return Interval(math.nan, math.nan)
    select = rows.iloc if isinstance(rows, pd.DataFrame) else rows
    members = _members(rows, group)
    measure = _mean if statistic is None else statistic
    generator = np.random.default_rng(seed)
    draws = np.full(resamples, math.nan)
    for number in range(resamples):
        drawn = generator.integers(len(members), size=len(members))
        draws[number] = measure(select[np.concatenate([members[which] for which in drawn])])
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _members(rows: Any, group: str | Sequence[Hashable] | np.ndarray | None) -> list[np.ndarray]:
    """Return the row numbers of each subject, in the order of the subjects' first rows."""
    if group is None:
        return list(np.arange(len(rows))[:, None])
    if isinstance(group, str) and not isinstance(rows, pd.DataFrame):
        raise TypeError("a group named by its column needs a table.")
    subjects = np.asarray(rows[group] if isinstance(group, str) else group)
    if len(subjects) != len(rows):
        raise ValueError(f"{len(subjects)} groups were given for {len(rows)} scans.")
    codes, _ = pd.factorize(subjects)
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]


def _mean(values: Any) -> float:
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if len(defined) else math.nan
