"""The lesion-wise F1 of the MSSEG challenges, as computed by their tool animaSegPerfAnalyzer.

[1] Commowick et al. 2018, https://doi.org/10.1038/s41598-018-31911-7
[2] https://github.com/Inria-Empenn/Anima-Public
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from joint_seg_cls.lesions import Connectivity, label_lesions
from joint_seg_cls.metrics.voxel_wise import Mask, on_one_grid

#: Connectivity of voxels that share a face, the default of the tool's component filter.
MSSEG_CONNECTIVITY: Connectivity = 6
#: Lesions of this volume and below are removed from both masks ([2]; below this volume in [1]).
MSSEG_MINIMUM_MM3 = 3.0
#: Minimum covered share of a lesion, maximum share of a covering lesion outside, share of the cover examined: the
#: defaults of the tool's command line.
ALPHA, BETA, GAMMA = 0.10, 0.70, 0.65


class Msseg(NamedTuple):
    """Lesion detection in one scan, as defined in [1].

    If the reference has no lesion above the minimum volume, the three rates are NaN and false lesions are counted. If
    only the prediction has none, SensL and F1 are 0 and PPVL is NaN.

    sensitivity: SensL, detected / reference lesions.
    ppv: PPVL, the same with the masks exchanged.
    f1: their harmonic mean.
    false_lesions: lesions of the prediction if the reference has none, else NaN.
    false_volume_mm3: their volume.
    """

    sensitivity: float
    ppv: float
    f1: float
    false_lesions: float
    false_volume_mm3: float


def msseg(prediction: Mask, reference: Mask, voxel_mm3: float) -> Msseg:
    r"""Compare two masks lesion by lesion as defined in [1], with the settings of [2].

    A lesion is a face-connected component above 3 mm3. It is detected if more than :math:`\alpha` of it is covered by
    lesions of the other mask and, in order of decreasing overlap up to the share :math:`\gamma` of the cover, none of
    these has more than :math:`\beta` of its volume outside all lesions of this mask.

    Departs from [2], whose loop over covering lesions also ends after as many of them as this mask has lesions, plus
    one; here it continues to :math:`\gamma`.

    Raises:
        ValueError: masks of different shape, or with values other than 0 and 1.
    """
    predicted, truth = on_one_grid(prediction, reference)
    overlap = _overlap(_lesions(truth, voxel_mm3), _lesions(predicted, voxel_mm3))
    references, predictions = overlap.shape[0] - 1, overlap.shape[1] - 1
    if references == 0:
        return Msseg(math.nan, math.nan, math.nan, predictions, float(overlap[:, 1:].sum()) * voxel_mm3)
    if predictions == 0:
        return Msseg(0.0, math.nan, 0.0, math.nan, math.nan)
    sensitivity, ppv = _detected(overlap) / references, _detected(overlap.T) / predictions
    f1 = 2 * sensitivity * ppv / (sensitivity + ppv) if sensitivity + ppv else 0.0
    return Msseg(sensitivity, ppv, f1, math.nan, math.nan)


def _lesions(mask: np.ndarray, voxel_mm3: float) -> Int[np.ndarray, "x y z"]:
    """Label the lesions above the minimum volume 1, 2, ..."""
    labels, count = label_lesions(mask, MSSEG_CONNECTIVITY)
    kept = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm3 > MSSEG_MINIMUM_MM3 * (1 + 1e-6)
    kept[0] = False
    return (np.cumsum(kept) * kept)[labels]


def _overlap(truth: np.ndarray, predicted: np.ndarray) -> Int[np.ndarray, "reference prediction"]:
    """Count the voxels of each pair of lesions; row and column 0 are background."""
    rows, columns = int(truth.max(initial=0)) + 1, int(predicted.max(initial=0)) + 1
    pairs = truth.ravel().astype(np.int64) * columns + predicted.ravel()
    return np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)


def _detected(overlap: Int[np.ndarray, "this other"]) -> int:
    """Count the lesions in rows that are detected by the lesions in columns."""
    outside = overlap[0] / np.maximum(overlap.sum(axis=0), 1)
    found = 0
    for row in overlap[1:]:
        cover = row[1:].sum()
        if cover / row.sum() > ALPHA:
            order = np.argsort(-row[1:], kind="stable") + 1
            before = np.cumsum(row[order]) - row[order]
            examined = order[before < GAMMA * cover]
            found += not np.any(outside[examined] > BETA)
    return found
