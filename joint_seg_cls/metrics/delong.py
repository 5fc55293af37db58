"""Whether two areas under ROC curves differ on the same scans: DeLong's test, for subjects with one or several scans.

[2] DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44:837, https://doi.org/10.2307/2531595
[3] Obuchowski 1997, Biometrics 53:567, https://doi.org/10.2307/2533958
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy.stats import norm, rankdata


class AreaDifference(NamedTuple):
    """Two areas on the same scans: both, the first minus the second, its standard error, the two-sided p."""

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
) -> AreaDifference:
    r"""Compare two areas by DeLong's test [2], the scans of one subject taken together as in [3].

    With :math:`g` the first placement of a scan minus its second (:func:`placements`), :math:`\Delta` their mean over
    positive scans, :math:`s_k^+, s_k^-` the sums of :math:`g - \Delta` over the positive and negative scans of
    subject :math:`k`, M and N the numbers of positive and negative scans, :math:`K^+, K^-, K` those of subjects with
    positive, with negative and with any scans:

    .. math:: Var(\Delta) = \frac{K^+ \sum (s_k^+)^2}{(K^+-1) M^2} + \frac{K^- \sum (s_k^-)^2}{(K^--1) N^2}
        + \frac{2 K \sum s_k^+ s_k^-}{(K-1) M N}

    With one scan a subject the last term is 0 and the rest is DeLong's variance.

    Args:
        first: scores, higher for positive scans; one column a seed, whose areas are averaged.
        second: likewise.
        positive: which scans are.
        subject: of each scan.

    A class with fewer than two subjects gives NaN; so does p where nothing varies and the areas differ.
    """
    one, other = placements(first, positive), placements(second, positive)
    if not 0 < positive.sum() < len(positive):
        return AreaDifference(*[math.nan] * 5)
    gap = one - other
    difference = float(gap[positive].mean())
    error = _standard_error(gap - difference, positive, subject)
    areas = float(one[positive].mean()), float(other[positive].mean())
    if error == 0 or math.isnan(error):
        p = 1.0 if error == 0 and difference == 0 else math.nan
        return AreaDifference(*areas, difference, error, p)
    return AreaDifference(*areas, difference, error, float(2 * norm.sf(abs(difference) / error)))


def placements(
    score: Real[np.ndarray, " scans"] | Real[np.ndarray, "scans _"], positive: Bool[np.ndarray, " scans"]
) -> Float[np.ndarray, " scans"]:
    """Return for a positive scan the share of negative ones below it, for a negative one of positive ones above it.

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


def _standard_error(
    centred: Float[np.ndarray, " scans"], positive: Bool[np.ndarray, " scans"], subject: np.ndarray
) -> float:
    _, code = np.unique(subject, return_inverse=True)
    subjects = int(code.max()) + 1
    sums, groups = {}, {}
    for sign in (True, False):
        chosen = positive == sign
        sums[sign] = np.bincount(code[chosen], weights=centred[chosen], minlength=subjects)
        groups[sign] = len(np.unique(code[chosen]))
        if groups[sign] < 2:
            return math.nan
    total = 2 * subjects / (subjects - 1) * (sums[True] @ sums[False]) / (positive.sum() * (~positive).sum())
    for sign in (True, False):
        scans = (positive == sign).sum()
        total += groups[sign] / (groups[sign] - 1) * (sums[sign] @ sums[sign]) / scans**2
    total = float(total)
    return math.sqrt(total) if total > np.finfo(float).eps ** 2 else 0.0
