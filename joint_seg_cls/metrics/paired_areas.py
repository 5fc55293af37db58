"""Paired tests of areas under ROC curves.

As in the tables, an area is the mean over the areas within each fold, since networks of folds may differ in scale.
"""

import math

import numpy as np
from jaxtyping import Bool, Int, Real
from scipy.stats import norm

from joint_seg_cls.metrics.bootstrap import CONFIDENCE, RESAMPLES
from joint_seg_cls.metrics.delong import compare_areas, folds_to_compare
from joint_seg_cls.metrics.disease import auc
from joint_seg_cls.metrics.paired import UNDEFINED, Comparison
from joint_seg_cls.metrics.power import detectable_normal

_ALL_TOGETHER = "no fold has enough subjects of every class, so all scans were ranked together"


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
        first: probability of the positive class, one column per seed.
        positive: whether a scan is positive.
        subject: the subject of each scan.
        fold: the fold of each scan; by default one fold. Folds with fewer than two subjects of a class are excluded.
        alpha: level for the smallest difference.
    """
    found = compare_areas(first, second, positive, subject, fold)
    if math.isnan(found.difference):
        return UNDEFINED
    reach = float(norm.isf((1 - CONFIDENCE) / 2)) * found.standard_error
    low, high = max(-1.0, found.difference - reach), min(1.0, found.difference + reach)
    smallest = detectable_normal(found.standard_error, alpha)
    parts = folds_to_compare(positive, subject, fold)
    used = np.concatenate(parts)
    caveat = _folds_left_out(positive, fold, len(parts), is_pooled=len(used) == len(positive))
    people = len(np.unique(subject[used]))
    return Comparison(found.difference, low, high, found.p, smallest, len(used), people, caveat)


def compare_multiclass_aucs(
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
    """Compare the one-vs-rest mean areas of more than two classes by a paired bootstrap over subjects.

    Areas are means over the folds with every class; without such folds, all scans are pooled. p is twice the share of
    resamples on the other side of 0, of n + 1 including the sample itself.

    Args:
        first: class probabilities, one layer per seed.
        disease: class code of each scan.
        subject: the subject of each scan.
        fold: the fold of each scan; by default one fold.
        alpha: level for the smallest difference.
    """
    every, alone = np.arange(len(disease)), np.zeros(len(disease), dtype=np.int64)
    of_fold, caveat = alone if fold is None else np.unique(fold, return_inverse=True)[1], ""
    difference = _gap(first, second, disease, of_fold, every)
    if math.isnan(difference):
        of_fold, caveat = alone, _ALL_TOGETHER
        difference = _gap(first, second, disease, of_fold, every)
    if math.isnan(difference):
        return UNDEFINED
    _, code = np.unique(subject, return_inverse=True)
    members = [np.flatnonzero(code == one) for one in range(code.max() + 1)]
    generator = np.random.default_rng(seed)
    chosen = (generator.integers(len(members), size=len(members)) for _ in range(resamples))
    resampled = (np.concatenate([members[one] for one in own]) for own in chosen)
    draws = np.array([_gap(first, second, disease, of_fold, own) for own in resampled])
    draws = draws[~np.isnan(draws)]
    if len(draws) < 2:
        return UNDEFINED
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    p = min(1.0, 2 * (beyond + 1) / (len(draws) + 1))
    smallest = detectable_normal(float(draws.std(ddof=1)), alpha)
    return Comparison(difference, float(low), float(high), p, smallest, len(disease), len(members), caveat)


def _gap(
    first: Real[np.ndarray, "scans classes _"],
    second: Real[np.ndarray, "scans classes _"],
    disease: Int[np.ndarray, " scans"],
    of_fold: Int[np.ndarray, " scans"],
    chosen: Int[np.ndarray, " chosen"],
) -> float:
    """Return the difference of areas in the given scans, mean over the folds in which they are defined."""

    def area(probability: np.ndarray, own: np.ndarray) -> float:
        return float(np.mean([auc(probability[own, :, layer], disease[own]) for layer in range(probability.shape[2])]))

    parts = [chosen[of_fold[chosen] == one] for one in np.unique(of_fold[chosen])]
    gaps = [area(first, own) - area(second, own) for own in parts]
    defined = [one for one in gaps if not math.isnan(one)]
    return float(np.mean(defined)) if defined else math.nan


def _folds_left_out(
    positive: Bool[np.ndarray, " scans"], fold: np.ndarray | None, used: int, *, is_pooled: bool
) -> str:
    """Return a caveat if the table averages over more folds, including folds with one subject of a class."""
    if fold is None:
        return ""
    kinds = [np.unique(positive[np.asarray(fold) == one]) for one in np.unique(fold)]
    counted = sum(len(each) == 2 for each in kinds)
    if is_pooled and used == 1 and len(kinds) > 1:
        return _ALL_TOGETHER
    return "" if used == counted else f"{used} of {counted} folds have two subjects of each class"
