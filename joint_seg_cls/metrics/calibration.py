r"""Calibration of class probabilities: temperature scaling, reliability, calibration error, coverage against accuracy.

Temperature scaling (Guo et al. 2017 [1]) divides the logits of all classes by one number T. It changes neither the
predicted class nor the AUC of two classes.

[1] https://proceedings.mlr.press/v70/guo17a.html
[2] Platt 1999, Probabilistic outputs for support vector machines, section 2.2
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

#: Bins of equal width over [0, 1].
BINS = 10
#: Limits of a fitted temperature: near 20 all classes are about equally probable.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 20.0
#: Minimum number of scans for fitting a temperature.
MIN_SCANS = 10
#: Lower bound of probabilities before the logarithm.
_TINY = 1e-300


class Reliability(NamedTuple):
    """For each of :data:`BINS` bins: mean probability and share of positives (both NaN if empty), number of scans."""

    probability: Float[np.ndarray, " bins"]
    share: Float[np.ndarray, " bins"]
    scans: Int[np.ndarray, " bins"]


class Coverage(NamedTuple):
    """Share of the scans that are answered and the accuracy among them, by the smallest probability answered."""

    probability: Float[np.ndarray, " points"]
    coverage: Float[np.ndarray, " points"]
    accuracy: Float[np.ndarray, " points"]


def temperature_scaled(
    probability: Float[np.ndarray, "*scans classes"], temperature: float
) -> Float[np.ndarray, "*scans classes"]:
    r"""Return the probabilities at a temperature, :math:`p_c^{1/T} / \sum_k p_k^{1/T}`, [1] Eq. 9.

    It equals the softmax of the logits divided by T.
    """
    if temperature == 1.0:
        return probability
    return np.exp(log_softmax(_log(probability) / temperature, axis=-1))


def fit_temperature(
    probability: Float[np.ndarray, "scans classes"], disease: Int[np.ndarray, " scans"]
) -> float | None:
    r"""Return the temperature with the least cross-entropy on held-out scans, [1] section 4.2.

    Departs from [1]: the targets are smoothed as by Platt [2], :math:`(n_c + 1) / (n_c + 2)` for the true class c with
    n_c scans and the rest in equal parts for the others. With the targets 0 and 1, T falls to 0 where all of the
    held-out scans are classified correctly.

    Args:
        probability: of scans that the network was not trained on.
        disease: the true class of each.

    Returns:
        T, from :data:`MIN_TEMPERATURE` to :data:`MAX_TEMPERATURE`; None if there are fewer than :data:`MIN_SCANS`
        scans, or none of a class.
    """
    classes = probability.shape[1]
    count = np.bincount(disease, minlength=classes)
    if len(disease) < MIN_SCANS or not count.all():
        return None
    right = (count + 1) / (count + 2)
    target = np.repeat(((1 - right) / (classes - 1))[:, None], classes, axis=1)
    np.fill_diagonal(target, right)
    log, smoothed = _log(probability), target[disease]

    def cross_entropy(inverse: float) -> float:
        return float(-(smoothed * log_softmax(log * inverse, axis=1)).sum(axis=1).mean())

    # convex in 1/T
    found = minimize_scalar(
        cross_entropy, bounds=(1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.clip(1 / found.x, MIN_TEMPERATURE, MAX_TEMPERATURE))


def cross_entropy(probability: Float[np.ndarray, "scans classes"], disease: Int[np.ndarray, " scans"]) -> float:
    """Return the mean negative logarithm of the true class's probability; NaN without scans."""
    return float(-_log(probability)[np.arange(len(disease)), disease].mean()) if len(disease) else math.nan


def reliability(probability: Float[np.ndarray, " scans"], positive: Bool[np.ndarray, " scans"]) -> Reliability:
    """Return mean probability and share of positives by bin.

    A probability on the edge of two bins counts in the upper one; 1 counts in the last.
    """
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    filled = np.where(count == 0, np.nan, count)
    mean = np.bincount(bins, weights=probability, minlength=BINS) / filled
    share = np.bincount(bins, weights=positive.astype(float), minlength=BINS) / filled
    return Reliability(mean, share, count)


def expected_calibration_error(probability: Float[np.ndarray, " scans"], positive: Bool[np.ndarray, " scans"]) -> float:
    r"""Return :math:`\sum_b \frac{n_b}{n} |\bar p_b - \bar y_b|` over :data:`BINS` bins; NaN without scans."""
    if not len(probability):
        return math.nan
    mean, share, count = reliability(probability, positive)
    return float(np.nansum(count * np.abs(mean - share)) / count.sum())


def coverage_curve(probability: Float[np.ndarray, "scans classes"], disease: Int[np.ndarray, " scans"]) -> Coverage:
    """Return coverage and accuracy for each threshold on the predicted class's probability, the highest first.

    A scan is answered if the probability of its predicted class is at or above the threshold; scans of one probability
    are answered together, so a threshold is a value that occurs.
    """
    highest, right = probability.max(axis=1), probability.argmax(axis=1) == disease
    order = np.argsort(-highest, kind="stable")
    highest, right = highest[order], right[order]
    last = np.flatnonzero(np.append(highest[1:] != highest[:-1], True)) if len(highest) else np.zeros(0, dtype=np.intp)
    answered = last + 1
    return Coverage(highest[last], answered / max(len(highest), 1), np.cumsum(right)[last] / answered)


def _log(probability: Float[np.ndarray, "*scans classes"]) -> Float[np.ndarray, "*scans classes"]:
    return np.log(np.maximum(np.asarray(probability, dtype=np.float64), _TINY))
