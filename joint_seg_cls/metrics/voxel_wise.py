"""Voxel-wise overlap of two lesion masks ([1], section 4.2).

Empty masks: with an empty reference every value is undefined (NaN); with only an empty prediction DSC and TPR are 0, VD
is 1, PPV is undefined.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Shaped
from torch import Tensor

#: A volume of True and False (or 1 and 0), as an array or a tensor on any device.
Mask = Shaped[np.ndarray, "..."] | Shaped[Tensor, "..."]


def dice(prediction: Mask, reference: Mask, *, empty: Literal["nan", "one"] = "nan") -> float:
    r"""Return the Dice coefficient, 2 TP / (2 TP + FP + FN), [1] Eq. 15.

    Args:
        empty: value for an empty reference: ``nan`` undefined; ``one`` 1 if the prediction is empty too, else 0.

    Raises:
        ValueError: masks of different shape, or with values other than 0 and 1.
    """
    hit, predicted, truth = _counts(prediction, reference)
    if truth == 0:
        return math.nan if empty == "nan" else float(predicted == 0)
    return 2 * hit / (predicted + truth)


def ppv(prediction: Mask, reference: Mask) -> float:
    """Return the positive predictive value, TP / (TP + FP), [1] Eq. 16; arguments and errors as in ``dice``."""
    hit, predicted, truth = _counts(prediction, reference)
    return math.nan if truth == 0 or predicted == 0 else hit / predicted


def tpr(prediction: Mask, reference: Mask) -> float:
    """Return the true positive rate, TP / (TP + FN), [1] Eq. 17; arguments and errors as in ``dice``."""
    hit, _, truth = _counts(prediction, reference)
    return math.nan if truth == 0 else hit / truth


def volume_difference(prediction: Mask, reference: Mask) -> float:
    r"""Return the volume difference relative to the reference, lower is better; arguments and errors as in ``dice``.

    .. math:: VD = |V_{pred} - V_{ref}| / V_{ref}

    V: volume of a mask. Departs from [1]: Eq. 18 has no absolute value, and its text repeats that of TP, which
    contradicts the paper's values.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """
    _, predicted, truth = _counts(prediction, reference)
    return math.nan if truth == 0 else abs(predicted - truth) / truth


def as_boolean(mask: Mask) -> np.ndarray:
    """Return ``mask`` as a boolean array.

    Raises:
        ValueError: values other than 0 and 1, such as probabilities.
    """
    array = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if array.dtype == np.bool_:
        return array
    boolean = array == 1
    if not np.all(boolean | (array == 0)):
        raise ValueError(f"a mask has the values True and False, or 1 and 0; this one ({array.dtype}) has others.")
    return boolean


def on_one_grid(prediction: Mask, reference: Mask) -> tuple[np.ndarray, np.ndarray]:
    """Return both masks as boolean arrays.

    Raises:
        ValueError: masks of different shape, or with values other than 0 and 1.
    """
    predicted, truth = as_boolean(prediction), as_boolean(reference)
    if predicted.shape != truth.shape:
        raise ValueError(f"prediction {predicted.shape} and reference {truth.shape} are on different grids.")
    return predicted, truth


def _counts(prediction: Mask, reference: Mask) -> tuple[int, int, int]:
    predicted, truth = on_one_grid(prediction, reference)
    return int(np.count_nonzero(predicted & truth)), int(np.count_nonzero(predicted)), int(np.count_nonzero(truth))
