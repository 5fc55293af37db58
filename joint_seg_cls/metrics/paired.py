"""Whether two methods differ on the same scans, and the smallest difference that these scans could have shown.

Scans of one subject are not independent: the signed-rank test sees one mean difference a subject, the test of
accuracies flips whole subjects, DeLong's variance and all intervals take subjects together.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Real
from scipy.stats import norm, wilcoxon

from joint_seg_cls.metrics.bootstrap import CONFIDENCE, RESAMPLES, bootstrap_interval
from joint_seg_cls.metrics.delong import compare_areas, folds_to_compare
from joint_seg_cls.metrics.disease import auc
from joint_seg_cls.metrics.power import smallest_mean, smallest_normal, smallest_share


class Comparison(NamedTuple):
    """The first method against the second.

    difference: first minus second, mean over scans.
    low, high: its 95 % interval.
    p: two-sided, not corrected; NaN where the test is undefined.
    smallest: difference that would have been shown with 80 % power at the level asked for; infinite where none would,
        NaN where nothing varies.
    scans, subjects: those that both methods tested.
    """

    difference: float
    low: float
    high: float
    p: float
    smallest: float
    scans: int
    subjects: int


NOTHING = Comparison(math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0)


def compare_means(
    first: Float[np.ndarray, " scans"],
    second: Float[np.ndarray, " scans"],
    subject: np.ndarray,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare one value a scan (DSC) by Wilcoxon's signed-rank test on the mean difference of each subject.

    Scans where either is undefined are left out; subjects without a difference do not count.

    Args:
        first: one value a scan.
        second: likewise, same scans.
        subject: of each scan.
        alpha: level for the smallest difference.
        seed: of the bootstrap interval.
        resamples: number of its draws.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    if not both.any():
        return NOTHING
    gap, people = (first - second)[both], np.asarray(subject)[both]
    by_subject = pd.Series(gap).groupby(people).mean().to_numpy()
    differing = by_subject[by_subject != 0]
    p = float(wilcoxon(differing).pvalue) if len(differing) else 1.0
    low, high = bootstrap_interval(gap, seed=seed, group=people, resamples=resamples)
    smallest = smallest_mean(_standard_error(gap, people), len(by_subject), alpha)
    return Comparison(float(gap.mean()), low, high, p, smallest, len(gap), len(by_subject))


def compare_aucs(
    first: Real[np.ndarray, "scans _"],
    second: Real[np.ndarray, "scans _"],
    positive: Bool[np.ndarray, " scans"],
    subject: np.ndarray,
    *,
    fold: np.ndarray | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Compare two areas under the ROC curve, means over folds, by DeLong's test; the interval is normal.

    Args:
        first: probability of the positive class, one column a seed.
        second: likewise, same scans.
        positive: which scans are.
        subject: of each scan.
        fold: of each scan; by default all are of one. Folds with fewer than two subjects of a class do not count.
        alpha: level for the smallest difference.
    """
    found = compare_areas(first, second, positive, subject, fold)
    if math.isnan(found.difference):
        return NOTHING
    reach = float(norm.isf((1 - CONFIDENCE) / 2)) * found.standard_error
    low, high = max(-1.0, found.difference - reach), min(1.0, found.difference + reach)
    smallest = smallest_normal(found.standard_error, alpha)
    used = np.concatenate(folds_to_compare(positive, subject, fold))
    return Comparison(found.difference, low, high, found.p, smallest, len(used), len(np.unique(subject[used])))


def compare_aucs_of_many(
    first: Real[np.ndarray, "scans classes _"],
    second: Real[np.ndarray, "scans classes _"],
    disease: Int[np.ndarray, " scans"],
    subject: np.ndarray,
    *,
    fold: np.ndarray | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare the mean areas of more than two classes, each against the rest, by a paired bootstrap over subjects.

    Areas are means over the folds that have every class; where none has, all scans stand together. p is twice the share
    of resamples on the other side of 0 (of n + 1, the sample itself counted).

    Args:
        first: class probabilities, one layer a seed.
        second: likewise, same scans.
        disease: code of each scan's class.
        subject: of each scan.
        fold: of each scan; by default all are of one.
        alpha: level for the smallest difference.
        seed: of the bootstrap.
        resamples: number of draws.
    """

    def area(probability: Real[np.ndarray, "scans classes _"], own: np.ndarray) -> float:
        return float(np.mean([auc(probability[own, :, layer], disease[own]) for layer in range(probability.shape[2])]))

    def gap(chosen: np.ndarray) -> float:
        parts = [chosen[of_fold[chosen] == one] for one in folds]
        gaps = [area(first, own) - area(second, own) for own in parts if len(own)]
        defined = [one for one in gaps if not math.isnan(one)]
        return float(np.mean(defined)) if defined else math.nan

    whole, of_fold = np.arange(len(disease)), np.zeros(len(disease), dtype=np.int64)
    folds = np.arange(1)
    if fold is not None:
        names, of_fold = np.unique(fold, return_inverse=True)
        folds = np.arange(len(names))
        if math.isnan(gap(whole)):  # no fold has every class
            of_fold, folds = np.zeros(len(disease), dtype=np.int64), np.arange(1)
    difference = gap(whole)
    if math.isnan(difference):
        return NOTHING
    _, code = np.unique(subject, return_inverse=True)
    members = [np.flatnonzero(code == one) for one in range(code.max() + 1)]
    generator = np.random.default_rng(seed)
    draws = np.array(
        [
            gap(np.concatenate([members[one] for one in generator.integers(len(members), size=len(members))]))
            for _ in range(resamples)
        ]
    )
    draws = draws[~np.isnan(draws)]
    if len(draws) < 2:
        return NOTHING
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    p = min(1.0, 2 * (beyond + 1) / (len(draws) + 1))
    smallest = smallest_normal(float(draws.std(ddof=1)), alpha)
    return Comparison(difference, float(low), float(high), p, smallest, len(disease), len(members))


def compare_accuracies(
    first: Bool[np.ndarray, "scans _"],
    second: Bool[np.ndarray, "scans _"],
    subject: np.ndarray,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two accuracies by McNemar's exact test, with whole subjects exchanged between the methods.

    Args:
        first: whether the first method was right, one column a seed.
        second: likewise, same scans.
        subject: of each scan.
        alpha: level for the smallest difference.
        seed: of the bootstrap interval.
        resamples: number of its draws.
    """
    if not len(subject):
        return NOTHING
    gap = first.astype(float).mean(axis=1) - second.astype(float).mean(axis=1)
    _, code = np.unique(subject, return_inverse=True)
    seeds = math.lcm(first.shape[1], second.shape[1])
    sums = np.rint(np.bincount(code, weights=gap * seeds)).astype(int)
    low, high = bootstrap_interval(gap, seed=seed, group=np.asarray(subject), resamples=resamples)
    clustered, alone = _standard_error(gap, subject), _standard_error(gap, np.arange(len(gap)))
    inflation = max(1.0, (clustered / alone) ** 2) if alone > 0 else 1.0
    independent = max(1, round(len(gap) / inflation))
    smallest = smallest_share(independent, float(np.abs(gap).mean()), alpha)
    return Comparison(float(gap.mean()), low, high, flip_test(sums), smallest, len(gap), len(sums))


def flip_test(sums: Int[np.ndarray, " subjects"]) -> float:
    r"""Return the exact two-sided p of :math:`\sum d_k` when each :math:`d_k` is as likely as :math:`-d_k`.

    d_k: by how many scans of subject k the first method was right more often than the second. With one scan a subject
    this is McNemar's exact test. The distribution of the sum is that of a walk, computed step by step.
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
    places = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chance[places >= abs(int(sums.sum())) // unit].sum()))


def _standard_error(gap: Float[np.ndarray, " scans"], subject: np.ndarray) -> float:
    """Return the standard error of the mean over scans, the scans of one subject taken together."""
    _, code = np.unique(subject, return_inverse=True)
    subjects = int(code.max()) + 1
    if subjects < 2:
        return math.nan
    sums = np.bincount(code, weights=gap - gap.mean())
    return math.sqrt(subjects / (subjects - 1) * float(sums @ sums)) / len(gap)
