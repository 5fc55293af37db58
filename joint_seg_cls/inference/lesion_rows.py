"""The lesion table of a prediction: shape and probability of each lesion."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.lesions import label_lesions, lesion_table
from joint_seg_cls.scan import Grid


def lesion_rows(found: Findings, grid: Grid) -> pd.DataFrame | None:
    """Return one row per predicted lesion; None for a network without segmentation.

    Returns:
        The columns of :func:`~joint_seg_cls.lesions.lesion_table`; ``mean_probability`` and ``max_probability`` of its
        voxels; ``uncertainty``, the mean of the disagreement over its voxels (NaN for a single sample);
        ``diagnosis_share``, the positive part of the location map inside the lesion as a share of the positive part of
        the whole map, and ``diagnosis_sum``, the sum of the map inside it (NaN without classification).
    """
    if found.lesions is None or found.lesion_probability is None:
        return None
    table = lesion_table(found.lesions, grid)
    labels, _ = label_lesions(found.lesions)
    inside = labels > 0
    owner = labels[inside] - 1
    voxels = np.bincount(owner, minlength=len(table))
    probability = found.lesion_probability[inside]
    highest = np.zeros(len(table))
    np.maximum.at(highest, owner, probability)
    location = found.location_map
    support = None if location is None else np.maximum(location, 0)
    total = 1.0 if support is None else float(support.sum(dtype=np.float64)) or 1.0
    spread = None if found.disagreement is None else found.disagreement[inside]
    return table.assign(
        mean_probability=_mean(probability, owner, voxels),
        max_probability=highest,
        uncertainty=np.full(len(table), np.nan) if spread is None else _mean(spread, owner, voxels),
        diagnosis_share=_sum(support, inside, owner, len(table)) / total,
        diagnosis_sum=_sum(location, inside, owner, len(table)),
    )


def _sum(
    volume: Float[np.ndarray, "x y z"] | None,
    inside: Bool[np.ndarray, "x y z"],
    owner: Int[np.ndarray, " n"],
    count: int,
) -> Float[np.ndarray, " lesions"]:
    return np.full(count, np.nan) if volume is None else np.bincount(owner, volume[inside], count).astype(np.float64)


def _mean(
    values: Float[np.ndarray, " n"], owner: Int[np.ndarray, " n"], voxels: Int[np.ndarray, " lesions"]
) -> Float[np.ndarray, " lesions"]:
    return np.bincount(owner, values, len(voxels)) / voxels
