"""Combination of several raters' masks of one scan."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool

RaterRule = Literal["intersection", "majority", "union"]


def combine_raters(masks: Sequence[Bool[np.ndarray, "x y z"]], rule: RaterRule) -> Bool[np.ndarray, "x y z"]:
    """Return the voxels marked by all raters (``intersection``, as in the paper), by more than half, or by any."""
    votes = np.sum(masks, axis=0, dtype=np.int16)
    needed = {"intersection": len(masks), "majority": len(masks) // 2 + 1, "union": 1}[rule]
    return np.asarray(votes >= needed)
