"""Whether a training had come to rest: its loss fell by less than 2 % in the last fifth of its epochs."""

import math

import numpy as np
import pandas as pd

#: Share of the training that is looked at, and by how much its loss may still fall in it.
LAST_SHARE, STILL_FALLS = 0.2, 0.02
_LOSS = "train/loss/total"


def fall_at_the_end(metrics: pd.DataFrame) -> float:
    """Return by which share the training loss fell from the end of the fourth fifth to the end of training.

    The loss is read off the straight line that fits these epochs best, for a single epoch is noisy. NaN with fewer than
    two epochs, where the loss is not positive, or where it is missing or not finite in one of the epochs looked at.
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
    """Return whether the loss had come to rest; None where that cannot be told."""
    fall = math.nan if metrics is None else fall_at_the_end(metrics)
    return None if math.isnan(fall) else fall < STILL_FALLS
