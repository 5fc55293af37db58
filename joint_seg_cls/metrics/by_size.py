"""Detected lesions by size."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.metrics.voxel_wise import Mask, on_one_grid

#: Limits of the size classes; a sphere of 10 mm3 has a diameter of 2.7 mm, one of 1000 mm3 of 12 mm.
SIZE_EDGES_MM3 = (0, 10, 100, 1000, np.inf)
#: Names of the size classes, used in columns and rows.
SIZES = tuple(
    f"{low}_to_{high}_mm3" if low and high < np.inf else f"above_{low}_mm3" if low else f"below_{high}_mm3"
    for low, high in pairwise(SIZE_EDGES_MM3)
)


class OfSize(NamedTuple):
    """Reference lesions in one size class, and the detected ones among them."""

    reference: int
    detected: int


def detected_by_size(prediction: Mask, reference: Mask, voxel_mm3: float) -> dict[str, OfSize]:
    """Count detected reference lesions by volume; a lesion is detected if it shares a voxel with the prediction.

    Args:
        reference: reference lesion mask on the same grid; its lesions are 26-connected.

    Returns:
        The counts of each of ``SIZES``. A class includes its lower limit and excludes its upper one.

    Raises:
        ValueError: masks of different shape, or with values other than 0 and 1.
    """
    predicted, truth = on_one_grid(prediction, reference)
    labels, count = label_lesions(truth)
    volume_mm3 = np.round(np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_mm3, 6)
    detected = np.bincount(labels[predicted], minlength=count + 1)[1:] > 0
    size = np.digitize(volume_mm3, SIZE_EDGES_MM3[1:-1])
    return {name: OfSize(int(np.sum(size == k)), int(np.sum(detected[size == k]))) for k, name in enumerate(SIZES)}
