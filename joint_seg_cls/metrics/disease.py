"""Metrics of the diagnosis over scans ([1], section 4.2): ACC, SN, SP, AUC.

With two classes the last (NMOSD) is positive. With more, SN, SP and AUC are one-vs-rest means over classes. Departs
from [1]: Eq. 19 is misprinted (FN twice), ACC is the share of correct diagnoses; the paper defines no positive class.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Real
from torch import Tensor

#: One row per scan, one column per class.
Probability = Real[np.ndarray, "_ _"] | Real[Tensor, "_ _"]
#: The true class of each scan, 0, 1, ...
Disease = Int[np.ndarray, " _"] | Int[Tensor, " _"]


def accuracy(probability: Probability, disease: Disease) -> float:
    """Return the share of correct diagnoses, [1] Eq. 19; NaN without scans."""
    scores, truth = _arrays(probability, disease)
    return float((scores.argmax(axis=1) == truth).mean()) if len(truth) else math.nan


def sensitivity(probability: Probability, disease: Disease) -> float:
    """Return the share of positive scans classified as positive, [1] Eq. 20; NaN if a class has no scan."""
    scores, truth = _arrays(probability, disease)
    called = scores.argmax(axis=1)
    return _over_classes(scores.shape[1], lambda code: _share(called[truth == code] == code))


def specificity(probability: Probability, disease: Disease) -> float:
    """Return the share of negative scans classified as negative, [1] Eq. 21; NaN if a class has every scan."""
    scores, truth = _arrays(probability, disease)
    called = scores.argmax(axis=1)
    return _over_classes(scores.shape[1], lambda code: _share(called[truth != code] != code))


def auc(probability: Probability, disease: Disease) -> float:
    """Return the area under the ROC curve; NaN if a class has no scan or every scan.

    It is the share of (positive, negative) pairs in which the positive scan has the higher probability, with ties
    counted half (Mann-Whitney), computed by sorting, which is fast enough for a bootstrap.
    """
    scores, truth = _arrays(probability, disease)
    return _over_classes(scores.shape[1], lambda code: _area(scores[:, code], truth == code))


def _over_classes(classes: int, measure: Callable[[int], float]) -> float:
    return measure(1) if classes == 2 else float(np.mean([measure(code) for code in range(classes)]))


def _share(right: np.ndarray) -> float:
    return float(right.mean()) if len(right) else math.nan


def _area(score: Float[np.ndarray, " scans"], positive: np.ndarray) -> float:
    of_positives, of_negatives = score[positive], np.sort(score[~positive])
    pairs = len(of_positives) * len(of_negatives)
    if pairs == 0 or np.isnan(score).any():
        return math.nan
    below, above = (of_negatives.searchsorted(of_positives, side) for side in ("left", "right"))  # above: ties too
    return float((below.sum() + above.sum()) / 2 / pairs)


def _arrays(probability: Probability, disease: Disease) -> tuple[np.ndarray, np.ndarray]:
    scores = probability.detach().cpu().numpy() if isinstance(probability, Tensor) else np.asarray(probability)
    truth = disease.detach().cpu().numpy() if isinstance(disease, Tensor) else np.asarray(disease)
    if scores.ndim != 2 or scores.shape[1] < 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"expected one row per scan and one column per class, found {scores.shape} for {truth.shape}.")
    return scores, truth
