"""Convergence of a training: the loss fell by less than 2 % in the last fifth of its epochs."""

import math

import numpy as np
import pandas as pd

#: Final fraction of the training, and the maximum relative fall of the loss in it.
LAST_SHARE, STILL_FALLS = 0.2, 0.02
_LOSS = "train/loss/total"


def fall_at_the_end(metrics: pd.DataFrame) -> float:
    """Return the relative fall of the training loss over the final fifth of training.

    The fall is that of a straight line fitted to these epochs, because single epochs are noisy. NaN with fewer than
    two epochs, a loss that is not positive, or a missing or non-finite loss in these epochs.
    """
    if _LOSS not in metrics:
        return math.nan
    loss = pd.to_numeric(metrics[_LOSS], errors="coerce").to_numpy(dtype=np.float64)
    if len(loss) < 2:
        return math.nan
    start = min(round((1 - LAST_SHARE) * len(loss)), len(loss) - 1) - 1
    part = loss[max(start, 0) :]
    if not np.isfinite(part).all():
        return math.nan
    slope, before = np.polyfit(np.arange(len(part)), part, 1)
    return float(-slope * (len(part) - 1) / before) if before > 0 else math.nan


def has_converged(metrics: pd.DataFrame | None) -> bool | None:
    """Return whether the training converged; None if unknown."""
    fall = math.nan if metrics is None else fall_at_the_end(metrics)
    return None if math.isnan(fall) else fall < STILL_FALLS
