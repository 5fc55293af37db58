"""Means over scans, and scans with an empty reference, which the means exclude."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.metrics.bootstrap import Interval, bootstrap_interval


class Summary(NamedTuple):
    """A metric over scans: number of scans that define it, mean, sample sd and 95 % interval."""

    n: int
    mean: float
    sd: float
    interval: Interval


class EmptyReferences(NamedTuple):
    """Scans with an empty reference, which the means of DSC, PPV, TPR and VD exclude.

    n: number of such scans.
    predicted_empty: share with an empty prediction.
    false_positive_ml: mean predicted volume in millilitres.
    """

    n: int
    predicted_empty: float
    false_positive_ml: float


def summarise(
    values: Float[np.ndarray, " scans"] | Sequence[float],
    *,
    seed: int,
    group: Sequence[Hashable] | np.ndarray | None = None,
) -> Summary:
    """Return mean, sd and interval over the scans with a defined value (not NaN).

    Args:
        values: one value per scan, NaN if undefined.
        group: the subject of each scan.
    """
    measured = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(measured)
    kept = measured[defined]
    if not len(kept):
        return Summary(0, math.nan, math.nan, Interval(math.nan, math.nan))
    subjects = None if group is None else np.asarray(group)[defined]
    sd = float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
    return Summary(len(kept), float(kept.mean()), sd, bootstrap_interval(kept, seed=seed, group=subjects))


def empty_references(
    reference_is_empty: Bool[np.ndarray, " scans"] | Sequence[bool],
    predicted_volume_ml: Float[np.ndarray, " scans"] | Sequence[float],
) -> EmptyReferences:
    """Summarise the scans without a lesion in the reference."""
    false_ml = np.asarray(predicted_volume_ml, dtype=np.float64)[np.asarray(reference_is_empty, dtype=bool)]
    if not len(false_ml):
        return EmptyReferences(0, math.nan, math.nan)
    return EmptyReferences(len(false_ml), float((false_ml == 0).mean()), float(false_ml.mean()))
