"""The smallest difference that a paired test detects with 80 % power.

A smaller difference that is not significant is undecided, not absent.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.stats import binom, nct, norm
from scipy.stats import t as student

POWER = 0.8
#: Relative efficiency of the signed-rank test to the paired t-test for normal differences, 3 / pi.
_SIGNED_RANK = 3 / math.pi


def detectable_mean(standard_error: float, subjects: int, alpha: float, power: float = POWER) -> float:
    r"""Return the smallest mean difference that the signed-rank test detects, for normal differences.

    .. math:: \nu \, SE / \sqrt{3 / \pi}, \quad P(t_{K-1}(\nu) > t_{crit}) = power

    SE: standard error of the mean; t(ν): noncentral t of the paired t-test of K subjects. Infinite if K differences of
    one sign do not reach ``alpha``.
    """
    if subjects < 2 or 2.0 ** (1 - subjects) > alpha:
        return math.inf
    if not standard_error > 0:
        return math.nan
    critical = float(student.isf(alpha / 2, subjects - 1))
    shift = brentq(lambda nu: float(nct.sf(critical, subjects - 1, nu)) - power, 0.0, 3 * critical + 10)
    return float(shift) * standard_error / math.sqrt(_SIGNED_RANK)


def detectable_normal(standard_error: float, alpha: float, power: float = POWER) -> float:
    """Return the smallest difference of a normal statistic, (z of alpha / 2 + z of power) standard errors."""
    if not standard_error > 0:
        return math.nan
    return float(norm.isf(alpha / 2) + norm.isf(1 - power)) * standard_error


def detectable_accuracy(scans: int, discordant: float, alpha: float, power: float = POWER) -> float:
    r"""Return the smallest difference of two accuracies that McNemar's exact test detects.

    The number of scans on which the two disagree is binomial with the observed share :math:`\psi` (or the difference
    itself, if larger), and of these :math:`(\psi + \delta) / 2 \psi` favour the better one. The result is the smallest
    multiple :math:`\delta` of one scan with the required power; infinite if there is none.

    Args:
        discordant: share of scans on which the two disagreed.
        alpha: two-sided level.
        power: probability of a significant result.
    """
    counts = np.arange(scans + 1)
    needed = _needed(counts, alpha)
    low, high = 0, scans + 1  # power grows with the difference
    while high - low > 1:
        middle = (low + high) // 2
        if _power(middle / scans, counts, needed, discordant) >= power:
            high = middle
        else:
            low = middle
    return high / scans if high <= scans else math.inf


def _needed(disagreeing: np.ndarray, alpha: float) -> Float[np.ndarray, " counts"]:
    """Return how many of the disagreeing scans must favour one side; larger than all if no number suffices."""
    least = binom.isf(alpha / 2, disagreeing, 0.5) + 1
    return np.where(2 * binom.sf(least - 1, disagreeing, 0.5) <= alpha, least, disagreeing + 1.0)


def _power(difference: float, counts: np.ndarray, needed: np.ndarray, discordant: float) -> float:
    share = min(1.0, max(discordant, difference))
    likely = (share + difference) / (2 * share)
    chance = binom.pmf(counts, len(counts) - 1, share)
    return float(chance @ binom.sf(needed - 1, counts, likely))
