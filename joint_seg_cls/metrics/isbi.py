"""The score of the ISBI-2015 challenge, over scans."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Real

#: One value per scan.
Values = Real[np.ndarray, " scans"] | Sequence[int | float]


def isbi_score(
    dsc: Values, ppv: Values, ltpr: Values, lfpr: Values, reference_volume: Values, predicted_volume: Values
) -> float:
    r"""Return the weighted sum of the challenge's metrics [1]; 1 is perfect.

    .. math:: SC = DSC/8 + PPV/8 + (1 - LFPR)/4 + LTPR/4 + VC/4

    The first four are means over scans; VC is Pearson's correlation across scans between predicted and reference
    volume. (Two public implementations correlate the voxels of a scan instead, which is another metric.) LTPR and LFPR
    are as in :func:`lesion_wise` with ``connectivity=18``. The leaderboard rescales the sum so that human raters score
    90, and averages it over two raters; this is the unscaled sum.

    Scans with an empty reference (``dsc`` NaN) are excluded. For empty predictions PPV and 1 - LFPR are 0.

    Args:
        dsc, ppv, ltpr, lfpr: one value per scan, as defined by :func:`dice` and :func:`lesion_wise`.
        reference_volume: volume of the reference, any unit.
        predicted_volume: volume of the prediction, the same unit.

    Returns:
        The score; NaN with fewer than two scans, or if all volumes are equal (VC is then undefined).

    [1] Carass et al. 2017, https://doi.org/10.1016/j.neuroimage.2016.12.064
    """
    scans = np.array([dsc, ppv, ltpr, lfpr, reference_volume, predicted_volume], dtype=np.float64)
    scans = scans[:, ~np.isnan(scans[0])]
    reference, predicted = scans[4:]
    if scans.shape[1] < 2 or np.ptp(reference) == 0 or np.ptp(predicted) == 0:
        return math.nan
    correlation = np.corrcoef(reference, predicted)[0, 1]
    precision, purity = np.nan_to_num(scans[1]).mean(), np.nan_to_num(1 - scans[3]).mean()
    return float(scans[0].mean() / 8 + precision / 8 + (purity + scans[2].mean() + correlation) / 4)
