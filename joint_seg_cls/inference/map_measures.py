"""Measures of an explanation's map: its share in lesions, and its similarity to another map."""

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

#: Maximum number of brain voxels for comparing maps.
_MOST_COMPARED = 50_000


def share_in(
    volume: Float[np.ndarray, "x y z"], lesions: Bool[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
) -> tuple[float, float]:
    """Return the share of the map's positive part in lesions, and its ratio to the lesions' share of the brain."""
    positive = np.maximum(volume, 0).astype(np.float64)
    total, size = float(positive.sum()), float(lesions.sum())
    if total == 0 or size == 0 or not brain.any():
        return math.nan, math.nan
    share = float(positive[lesions].sum()) / total
    return share, share / (size / float(brain.sum()))


def similarity(
    first: Float[np.ndarray, "x y z"], second: Float[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
) -> float:
    """Return Spearman's rank correlation of two maps over the brain, from at most 50,000 voxels at equal distances."""
    inside = np.flatnonzero(brain)
    inside = inside[:: max(-(-len(inside) // _MOST_COMPARED), 1)]
    one, other = first.ravel()[inside], second.ravel()[inside]
    if len(inside) < 3 or one.min() == one.max() or other.min() == other.max():
        return math.nan
    return float(spearmanr(one, other).statistic)
