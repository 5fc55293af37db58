"""Lesion-wise overlap of two lesion masks: detected and false lesions."""

import math
from typing import NamedTuple

import numpy as np

from joint_seg_cls.lesions import CONNECTIVITY, Connectivity, label_lesions
from joint_seg_cls.metrics.voxel_wise import Mask, on_one_grid


class LesionWise(NamedTuple):
    """Lesion counts of one scan. A lesion is detected if it shares a voxel with the other mask.

    Empty masks, as in the voxel-wise metrics: with an empty reference the three rates are NaN; with only an empty
    prediction LTPR and F1 are 0 and LFPR is NaN.

    reference_lesions: lesions of the reference.
    predicted_lesions: lesions of the prediction.
    detected_lesions: lesions of the reference with at least one predicted voxel.
    false_lesions: lesions of the prediction without any reference voxel.
    ltpr: detected / reference lesions.
    lfpr: false / predicted lesions.
    f1: harmonic mean of LTPR and 1 - LFPR.
    """

    reference_lesions: int
    predicted_lesions: int
    detected_lesions: int
    false_lesions: int
    ltpr: float
    lfpr: float
    f1: float


def lesion_wise(prediction: Mask, reference: Mask, *, connectivity: Connectivity = CONNECTIVITY) -> LesionWise:
    """Compare two masks lesion by lesion.

    With ``connectivity=18`` LTPR and LFPR are those of the ISBI-2015 challenge [1].

    Args:
        connectivity: connectivity of lesion voxels: 6, 18 or 26.

    Raises:
        ValueError: masks of different shape, or with values other than 0 and 1.

    [1] Carass et al. 2017, https://doi.org/10.1016/j.neuroimage.2016.12.064
    """
    predicted, truth = on_one_grid(prediction, reference)
    reference_labels, reference_count = label_lesions(truth, connectivity)
    predicted_labels, predicted_count = label_lesions(predicted, connectivity)
    detected = _touched(reference_labels, predicted)
    false = predicted_count - _touched(predicted_labels, truth)
    ltpr = lfpr = f1 = math.nan
    if reference_count:
        ltpr, f1 = detected / reference_count, 0.0
        if predicted_count:
            lfpr = false / predicted_count
            found = ltpr + 1 - lfpr
            f1 = 2 * ltpr * (1 - lfpr) / found if found else 0.0
    return LesionWise(reference_count, predicted_count, detected, false, ltpr, lfpr, f1)


def _touched(labels: np.ndarray, mask: np.ndarray) -> int:
    return int(np.count_nonzero(np.unique(labels[mask])))
