"""DeLong's test of two areas under ROC curves on the same scans, for one or several scans per subject.

[2] DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44:837, https://doi.org/10.2307/2531595
[3] Obuchowski 1997, Biometrics 53:567, https://doi.org/10.2307/2533958
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy.stats import norm, rankdata


class AreaDifference(NamedTuple):
    """Two areas on the same scans, their difference (first minus second), its standard error and two-sided p."""

    first: float
    second: float
    difference: float
    standard_error: float
    p: float


def compare_areas(
    first: Real[np.ndarray, " scans"] | Real[np.ndarray, "scans _"],
    second: Real[np.ndarray, " scans"] | Real[np.ndarray, "scans _"],
    positive: Bool[np.ndarray, " scans"],
    subject: np.ndarray,
    fold: np.ndarray | None = None,
) -> AreaDifference:
    r"""Compare two areas by DeLong's test [2], with the scans of a subject clustered as in [3].

    With :math:`g` the first placement of a scan minus its second (:func:`placements`), :math:`\Delta` its mean over
    positive scans, :math:`s_k^+, s_k^-` the sums of :math:`g - \Delta` over the positive and negative scans of subject
    :math:`k`, M and N the numbers of positive and negative scans, :math:`K^+, K^-, K` the numbers of subjects with
    positive, negative and any scans:

    .. math:: Var(\Delta) = \frac{K^+ \sum (s_k^+)^2}{(K^+-1) M^2} + \frac{K^- \sum (s_k^-)^2}{(K^--1) N^2}
        + \frac{2 K \sum s_k^+ s_k^-}{(K-1) M N}

    With one scan per subject the last term is 0 and the rest is DeLong's variance. With F folds, whose networks may
    differ in scale, placements are within a fold, and areas are means over folds:

    .. math:: Var(\bar\Delta) = \frac{1}{F^2} \Big( \sum_f Var(\Delta_f) + \sum_k \sum_{f \ne g} t_{kf} t_{kg} \Big),
        \quad t_{kf} = s_{kf}^+ / M_f + s_{kf}^- / N_f

    where the last sum is 0 unless a subject is in several folds.

    Args:
        first: scores, higher for positive scans; one column per seed, whose areas are averaged.
        second: scores of the other method on the same scans.
        positive: whether a scan is positive.
        fold: the fold of each scan; by default one fold. :func:`folds_to_compare` selects the folds.

    A class with fewer than two subjects gives NaN; p is NaN if the standard error is 0 and the areas differ.
    """
    if not 0 < positive.sum() < len(positive):
        return AreaDifference(*[math.nan] * 5)
    _, code = np.unique(subject, return_inverse=True)
    parts = folds_to_compare(positive, subject, fold)
    areas = np.zeros((len(parts), 2))
    variance, together = 0.0, np.zeros((len(parts), code.max() + 1))
    for number, own in enumerate(parts):
        placed = [placements(score[own], positive[own]) for score in (first, second)]
        areas[number] = [each[positive[own]].mean() for each in placed]
        centred = placed[0] - placed[1] - (areas[number, 0] - areas[number, 1])
        alone, together[number] = _spread(centred, positive[own], code[own], together.shape[1])
        variance += alone
    variance += float((together.sum(axis=0) ** 2).sum() - (together**2).sum())
    error = math.sqrt(variance) / len(parts) if variance > np.finfo(float).eps ** 2 else variance * 0.0
    one, other = (float(each) for each in areas.mean(axis=0))
    difference = one - other
    if error == 0 or math.isnan(error):
        p = 1.0 if error == 0 and abs(difference) < np.finfo(float).eps else math.nan
        return AreaDifference(one, other, difference, error, p)
    return AreaDifference(one, other, difference, error, float(2 * norm.sf(abs(difference) / error)))


def folds_to_compare(
    positive: Bool[np.ndarray, " scans"], subject: np.ndarray, fold: np.ndarray | None
) -> list[Int[np.ndarray, " own"]]:
    """Return the scans of each fold with at least two subjects per class, since others have no variance.

    Without such a fold, or without folds, all scans are one part.
    """
    every = np.arange(len(positive))
    folds = [] if fold is None else [every[np.asarray(fold) == one] for one in np.unique(fold)]

    def has_both(own: np.ndarray) -> bool:
        return all(len(np.unique(subject[own][positive[own] == sign])) > 1 for sign in (True, False))

    return [own for own in folds if has_both(own)] or [every]


def placements(
    score: Real[np.ndarray, " scans"] | Real[np.ndarray, "scans _"], positive: Bool[np.ndarray, " scans"]
) -> Float[np.ndarray, " scans"]:
    """Return for a positive scan the share of lower negative scans, for a negative scan that of higher positive scans.

    Ties count half; the mean over either class is the area. Several columns are averaged.
    """
    columns = score[:, None] if score.ndim == 1 else score
    found = np.full(columns.shape, math.nan)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives and negatives:
        for column in range(columns.shape[1]):
            ranks = rankdata(columns[:, column])
            below = (ranks[positive] - rankdata(columns[positive, column])) / negatives
            above = 1 - (ranks[~positive] - rankdata(columns[~positive, column])) / positives
            found[positive, column], found[~positive, column] = below, above
    return found.mean(axis=1)


def _spread(
    centred: Float[np.ndarray, " scans"], positive: Bool[np.ndarray, " scans"], code: np.ndarray, subjects: int
) -> tuple[float, Float[np.ndarray, " subjects"]]:
    """Return the variance of the difference in a fold, and the contribution of each subject."""
    sums, groups = {}, {}
    for sign in (True, False):
        chosen = positive == sign
        sums[sign] = np.bincount(code[chosen], weights=centred[chosen], minlength=subjects)
        groups[sign] = len(np.unique(code[chosen]))
    scans = {sign: int((positive == sign).sum()) for sign in sums}
    moved = sums[True] / scans[True] + sums[False] / scans[False]
    if min(groups.values()) < 2:
        return math.nan, moved
    both = len(np.unique(code))
    total = 2 * both / (both - 1) * (sums[True] @ sums[False]) / (scans[True] * scans[False])
    for sign, own in sums.items():
        total += groups[sign] / (groups[sign] - 1) * (own @ own) / scans[sign] ** 2
    return float(total), moved
