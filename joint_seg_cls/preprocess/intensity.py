"""Intensity normalisation: z-score (Huang et al. 2024 [1], section 3.1), or division by the mode of tissue.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from typing import Literal, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.errors import ScanError, require_choice

#: Voxels over which mean and standard deviation are computed.
Region = Literal["brain", "volume"]
#: Histogram for the mode of white matter: percentiles of the brain, bins, smoothing.
_RANGE, _BINS, _SMOOTH_BINS = (35.0, 95.0), 200, 6.0
#: A scan with a larger fraction of the brain at or below 0 is already standardised.
_MOST_NEGATIVE = 0.2
#: Values are clipped at this multiple of the mode: fat, vessels, remains of the skull.
_BRIGHTEST = 3.0


@runtime_checkable
class Intensity(Protocol):
    """Normalises the intensities of an image."""

    def __call__(
        self, image: Float[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
    ) -> Float[np.ndarray, "x y z"]:
        """Return the normalised image as float32."""
        ...


#: Fraction of the values at each end that :func:`extremes` excludes from the robust range.
_TAIL = 0.025


def extremes(values: Float[np.ndarray, " voxels"]) -> dict[str, float]:
    r"""Return the effect of extreme values in the brain on the normalisation.

    ``extremes_sd_ratio``: the standard deviation over that of the values clipped to
    :math:`[q_{2.5} - w, q_{97.5} + w]`, :math:`w = q_{97.5} - q_{2.5}`, about six standard deviations from the mean
    and beyond the range of lesions.
    ``farthest_sd``: the largest distance from the median, in standard deviations of the clipped values.
    """
    if not values.size:
        return {"extremes_sd_ratio": 1.0, "farthest_sd": 0.0}
    low, middle, high = (float(value) for value in np.quantile(values, (_TAIL, 0.5, 1 - _TAIL)))
    width = high - low
    clipped = float(np.clip(values, low - width, high + width).std(dtype=np.float64)) or 1.0
    farthest = max(float(values.max()) - middle, middle - float(values.min()))
    return {"extremes_sd_ratio": float(values.std(dtype=np.float64)) / clipped, "farthest_sd": farthest / clipped}


@final
class ZScore:
    r"""Standardise an image, :math:`(I - \mu) / \sigma`; voxels outside the brain become exactly 0.

    Departs from [1]: the paper does not specify the voxels for :math:`\mu` and :math:`\sigma`; here they are those of
    the brain (``over="volume"``: all voxels, and the background is not set to 0).

    Raises:
        ConfigError: ``over`` is neither.
    """

    def __init__(self, over: Region = "brain") -> None:
        require_choice("preprocess.intensity.over", over, Region)
        self.over: Region = over

    def __call__(
        self, image: Float[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
    ) -> Float[np.ndarray, "x y z"]:
        """Return the standardised image as float32."""
        values = (image[brain] if self.over == "brain" else image).astype(np.float64)
        spread = float(values.std()) or 1.0
        scaled = ((image - values.mean()) / spread).astype(np.float32)
        return np.where(brain, scaled, np.float32(0)) if self.over == "brain" else scaled


@final
class TissueMode:
    r"""Divide an image by the intensity of its normal tissue, :math:`\min(\max(I / m, 0), 3)`; 0 outside the brain.

    m: the smoothed mode of the brain's histogram between its 35th and 95th percentile; on FLAIR the mode of white
    matter with part of the grey matter. Unlike mean and standard deviation, it hardly depends on the lesion volume:
    between a scan with 1 mL and one with 50 mL of lesions, normal tissue moved from z = 0.10 to 0.44 and the 95th
    percentile of lesions from 2.84 to 1.91; divided by the mode, lesions were at 1.33 and 1.30.

    Departs from [1], which standardises.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __call__(
        self, image: Float[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
    ) -> Float[np.ndarray, "x y z"]:
        """Return the image with normal tissue at 1, as float32.

        Raises:
            ScanError: much of the brain is negative, or the brain is constant.
        """
        mode = tissue_mode(image[brain])
        scaled = np.clip(image / mode, 0, _BRIGHTEST).astype(np.float32)
        return np.where(brain, scaled, np.float32(0))


def tissue_mode(values: Float[np.ndarray, " n"]) -> float:
    """Return the smoothed mode of the brain's values between their 35th and 95th percentile.

    Raises:
        ScanError: more than a fifth of the values are negative, or there is no value above 0.
    """
    negative = float(np.mean(values < 0)) if values.size else 0.0
    positive = values[values > 0]
    if negative > _MOST_NEGATIVE or not positive.size:
        found = f"{negative:.0%} of the brain below 0" if positive.size else "none above 0"
        raise ScanError(
            "preprocess.intensity",
            expected="original intensities, above 0 in the brain",
            found=found,
            remedy="use the scan before its standardisation",
        )
    low, high = np.percentile(positive, _RANGE)
    if high <= low:
        return float(high)
    counts, edges = np.histogram(positive, _BINS, (float(low), float(high)))
    top = int(ndimage.gaussian_filter1d(counts.astype(np.float64), _SMOOTH_BINS).argmax())
    return float((edges[top] + edges[top + 1]) / 2)
