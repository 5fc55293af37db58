"""Paired tests of two methods on the same scans, and the minimum detectable difference.

The methods are compared by their means over folds, as in the tables. Scans of one subject are not independent: the
signed-rank test uses one mean difference per subject, the test of accuracies flips whole subjects, and DeLong's
variance and all intervals are clustered by subject.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata, wilcoxon

from joint_seg_cls.metrics.bootstrap import RESAMPLES, bootstrap_ratio
from joint_seg_cls.metrics.power import detectable_accuracy, detectable_mean


class Comparison(NamedTuple):
    """The first method against the second.

    difference: first minus second, mean over the folds of the means over scans.
    low, high: its 95 % interval.
    p: two-sided, not corrected; NaN if the test is undefined.
    smallest: smallest difference that is significant with 80 % power; infinite if there is none, NaN if nothing varies.
    scans, subjects: numbers tested by both methods.
    caveat: why p does not apply to ``difference``; empty if it does.
    """

    difference: float
    low: float
    high: float
    p: float
    smallest: float
    scans: int
    subjects: int
    caveat: str = ""


#: A test with equally weighted subjects can have the opposite sign of a mean over scans or folds.
_OPPOSITE = "the test over subjects has the opposite direction"
UNDEFINED = Comparison(math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0)


def compare_means(
    first: Float[np.ndarray, " scans"],
    second: Float[np.ndarray, " scans"],
    subject: np.ndarray,
    *,
    fold: np.ndarray | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare one value per scan (DSC) by Wilcoxon's signed-rank test on the mean difference of each subject.

    Scans in which either value is undefined and subjects without a difference are excluded.

    Args:
        first: one value per scan.
        subject: the subject of each scan.
        fold: the fold of each scan; by default one fold.
        alpha: level for the smallest difference.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    if not both.any():
        return UNDEFINED
    gap, people = (first - second)[both], np.asarray(subject)[both]
    folds = np.zeros(len(gap)) if fold is None else np.asarray(fold)[both]
    by_subject = pd.Series(gap).groupby(people).mean().to_numpy()
    differing = by_subject[by_subject != 0]
    p = float(wilcoxon(differing).pvalue) if len(differing) else 1.0
    difference, error = _mean_over_folds(gap, people, folds)
    low, high = bootstrap_ratio(gap, np.ones(len(gap)), seed=seed, group=people, fold=folds, resamples=resamples)
    smallest = detectable_mean(error, len(by_subject), alpha)
    leans = float(np.sign(differing) @ rankdata(np.abs(differing)))
    caveat = _OPPOSITE if leans * difference < 0 else ""
    return Comparison(difference, low, high, p, smallest, len(gap), len(by_subject), caveat)


def compare_accuracies(
    first: Bool[np.ndarray, "scans _"],
    second: Bool[np.ndarray, "scans _"],
    subject: np.ndarray,
    *,
    fold: np.ndarray | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two accuracies by McNemar's exact test, exchanging whole subjects between the methods.

    Args:
        first: whether the first method was correct, one column per seed.
        subject: the subject of each scan.
        fold: the fold of each scan; by default one fold.
        alpha: level for the smallest difference.
    """
    if not len(subject):
        return UNDEFINED
    folds = np.zeros(len(subject)) if fold is None else np.asarray(fold)
    gap = first.astype(float).mean(axis=1) - second.astype(float).mean(axis=1)
    _, code = np.unique(subject, return_inverse=True)
    seeds = math.lcm(first.shape[1], second.shape[1])
    sums = np.rint(np.bincount(code, weights=gap * seeds)).astype(int)
    people, ones = np.asarray(subject), np.ones(len(gap))
    low, high = bootstrap_ratio(gap, ones, seed=seed, group=people, fold=folds, resamples=resamples)
    difference, clustered = _mean_over_folds(gap, people, folds)
    _, alone = _mean_over_folds(gap, np.arange(len(gap)), folds)
    inflation = max(1.0, (clustered / alone) ** 2) if alone > 0 else 1.0
    independent = max(1, round(len(gap) / inflation))
    smallest = detectable_accuracy(independent, float(np.abs(gap).mean()), alpha)
    caveat = _OPPOSITE if sums.sum() * difference < 0 else ""
    return Comparison(difference, low, high, sign_flip_test(sums), smallest, len(gap), len(sums), caveat)


def sign_flip_test(sums: Int[np.ndarray, " subjects"]) -> float:
    r"""Return the exact two-sided p of :math:`\sum d_k` if :math:`d_k` and :math:`-d_k` are equally likely.

    d_k: number of scans of subject k on which the first method was correct, minus that of the second. With one scan per
    subject this is McNemar's exact test. The sum has the distribution of a random walk.
    """
    steps = np.abs(sums[sums != 0])
    if not len(steps):
        return 1.0
    unit = math.gcd(*steps.tolist())
    steps = steps // unit
    reach = int(steps.sum())
    chance = np.zeros(2 * reach + 1)
    chance[reach] = 1.0
    for step in steps:
        chance = (np.roll(chance, step) + np.roll(chance, -step)) / 2
    sums_reached = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chance[sums_reached >= abs(int(sums.sum())) // unit].sum()))


def _mean_over_folds(gap: Float[np.ndarray, " scans"], subject: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """Return the mean over folds of the means over scans, and its standard error, clustered by subject."""
    _, of_fold, counts = np.unique(fold, return_inverse=True, return_counts=True)
    _, code = np.unique(subject, return_inverse=True)
    subjects = int(code.max()) + 1
    means = np.bincount(of_fold, weights=gap) / counts
    difference = float(means.mean())
    if subjects < 2:
        return difference, math.nan
    moved = np.bincount(code, weights=(gap - means[of_fold]) / counts[of_fold]) / len(counts)
    return difference, math.sqrt(subjects / (subjects - 1) * float(moved @ moved))
