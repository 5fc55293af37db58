"""Confidence intervals by a percentile bootstrap over subjects."""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

#: Sufficient for two digits of the limits of an interval.
RESAMPLES = 1000
CONFIDENCE = 0.95
#: Subjects drawn in one block, to limit the memory.
_DRAWN_AT_ONCE = 200_000


class Interval(NamedTuple):
    """The ends of a confidence interval."""

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

    Scans of one subject are not independent, so subjects are drawn with replacement, with all their scans. A resample
    with an undefined statistic (an AUC with one class) is excluded; if none remains the interval is NaN.

    Args:
        values: one value per scan, or a table with one row per scan.
        statistic: takes a selection of ``values`` (of the same type) and returns a number; by default the mean of the
            values that are not NaN.
        group: the subject of each scan, or the name of its column; None if every scan is of a different subject.
    """
    rows: Any = values if isinstance(values, pd.DataFrame) else np.asarray(values)
    if len(rows) == 0:
        return Interval(math.nan, math.nan)
    if statistic is None:
        numbers = np.asarray(rows, dtype=np.float64)
        defined = ~np.isnan(numbers)
        numbers = np.where(defined, numbers, 0.0)
        return bootstrap_ratio(numbers, defined, seed=seed, group=group, resamples=resamples, confidence=confidence)
    select = rows.iloc if isinstance(rows, pd.DataFrame) else rows
    members = _members(rows, group)

    def measure(draws: np.ndarray) -> np.ndarray:
        different, which = np.unique(draws, axis=0, return_inverse=True)  # of few subjects, the same are often drawn
        found = [statistic(select[np.concatenate([members[number] for number in drawn])]) for drawn in different]
        return np.array(found)[which.ravel()]

    return _percentiles(measure, len(members), seed, resamples, confidence)


def bootstrap_ratio(
    numerator: np.ndarray,
    denominator: np.ndarray,
    *,
    seed: int,
    group: Sequence[Hashable] | np.ndarray | None = None,
    fold: np.ndarray | None = None,
    repeat: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the interval of sum(numerator) / sum(denominator) over scans, as :func:`bootstrap_interval` but faster.

    With several folds it is the interval of the mean of their ratios, and with several repeats of a cross-validation of
    the mean of their means; folds with a denominator of 0 are excluded from a resample.

    Args:
        numerator: one value per scan.
        denominator: one value per scan; ones give the mean of ``numerator``.
        group: the subject of each scan.
        fold: the fold of each scan, different in each repeat; by default one fold.
        repeat: the repeat of each scan; by default one.
    """
    if len(numerator) == 0:
        return Interval(math.nan, math.nan)
    members = _members(numerator, group)
    names, first, of_fold = np.unique(
        np.zeros(len(numerator)) if fold is None else fold, return_index=True, return_inverse=True
    )
    sums = np.zeros((len(members), 2, len(names)))
    for number, own in enumerate(members):
        np.add.at(sums[number, 0], of_fold[own], numerator[own])
        np.add.at(sums[number, 1], of_fold[own], denominator[own])
    repeats = np.zeros(len(names)) if repeat is None else np.asarray(repeat)[first]
    in_repeat = (repeats[:, None] == np.unique(repeats)).astype(float)  # folds repeats

    def measure(draws: np.ndarray) -> np.ndarray:
        counts = np.stack([np.bincount(drawn, minlength=len(members)) for drawn in draws])
        over, under = np.moveaxis(np.tensordot(counts, sums, 1), 1, 0)
        of_each, is_defined = _divided(over, under)
        of_repeat, has_fold = _divided(of_each @ in_repeat, is_defined @ in_repeat)
        means, has_repeat = _divided(of_repeat.sum(axis=1), has_fold.sum(axis=1))
        return np.where(has_repeat, means, math.nan)

    return _percentiles(measure, len(members), seed, resamples, confidence)


def _divided(numerator: np.ndarray, denominator: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the quotients, with 0 where the denominator is 0, and whether it is not."""
    is_defined = denominator != 0
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=is_defined), is_defined


def proportion_interval(
    part: np.ndarray,
    whole: np.ndarray,
    *,
    seed: int,
    group: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the interval of a proportion, sum(part) / sum(whole), resampling whole subjects.

    A proportion of 0 or 1 is the same in every resample. Its interval is then that of Clopper and Pearson, with the
    subjects that have a ``whole`` as trials: 2 of 2 give 0.16 to 1.

    Args:
        part: counts of each scan, at most those of ``whole``.
        whole: counts of each scan.
        group: the subject of each scan.
    """
    trials = sum(1 for own in _members(whole, group) if whole[own].sum() > 0) if len(whole) else 0
    if trials and part.sum() in (0, whole.sum()):
        farthest = ((1 - CONFIDENCE) / 2) ** (1 / trials)
        return Interval(0.0, 1 - farthest) if part.sum() == 0 else Interval(farthest, 1.0)
    return bootstrap_ratio(part, whole, seed=seed, group=group, resamples=resamples)


def _percentiles(
    measure: Callable[[np.ndarray], Sequence[float] | np.ndarray],
    subjects: int,
    seed: int,
    resamples: int,
    confidence: float,
) -> Interval:
    """Return the interval of ``measure``, which maps each row of drawn subjects to a number."""
    generator = np.random.default_rng(seed)
    draws = np.empty(resamples)
    block = max(_DRAWN_AT_ONCE // subjects, 1)
    for start in range(0, resamples, block):
        here = draws[start : start + block]
        here[:] = measure(generator.integers(subjects, size=(len(here), subjects)))
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _members(rows: Any, group: str | Sequence[Hashable] | np.ndarray | None) -> list[np.ndarray]:
    """Return the row numbers of each subject, in order of first appearance."""
    if group is None:
        return list(np.arange(len(rows))[:, None])
    if isinstance(group, str) and not isinstance(rows, pd.DataFrame):
        raise TypeError("a column name as group requires a table.")
    subjects = np.asarray(rows[group] if isinstance(group, str) else group)
    if len(subjects) != len(rows):
        raise ValueError(f"{len(subjects)} groups were given for {len(rows)} scans.")
    codes, _ = pd.factorize(subjects)
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
