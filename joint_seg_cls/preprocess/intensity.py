"""The scale of intensities: mean 0, standard deviation 1 (Huang et al. 2024 [1], section 3.1), or the tissue's mode 1.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.errors import ConfigError, ScanError

#: Over which voxels mean and standard deviation run.
REGIONS = ("brain", "volume")
#: The histogram in which white matter's mode is looked for: percentiles of the brain, bins, their smoothing.
_RANGE, _BINS, _SMOOTH_BINS = (35.0, 95.0), 200, 6.0
#: A scan with more than this share of the brain at or below 0 has been standardised before.
_MOST_NEGATIVE = 0.2
#: Values above this many times the mode are cut: fat, vessels, what a brain extraction left.
_BRIGHTEST = 3.0


@runtime_checkable
class Intensity(Protocol):
    """Sets the scale of an image."""

    def __call__(
        self, image: Float[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
    ) -> Float[np.ndarray, "x y z"]:
        """Return the image on its new scale, float32."""
        ...


#: Share of the values at either end of the range by which :func:`extremes` finds extreme values.
_TAIL = 0.025


def extremes(values: Float[np.ndarray, " voxels"]) -> dict[str, float]:
    r"""Return what the extreme values among those of a brain do to the scale of all.

    ``extremes_sd_ratio``: the standard deviation over that of the values clipped to
    :math:`[q_{2.5} - w, q_{97.5} + w]`, :math:`w = q_{97.5} - q_{2.5}`, about six standard deviations from the mean,
    farther than lesions lie.
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

    Departs from [1]: the paper does not say over which voxels :math:`\mu` and :math:`\sigma` run; here over the brain
    (``over="volume"``: over all voxels, whose background is then kept as it comes out).

    Raises:
        ConfigError: ``over`` is neither.
    """

    def __init__(self, over: str = "brain") -> None:
        if over not in REGIONS:
            where = "preprocess.intensity.over"
            raise ConfigError(where, expected="brain or volume", found=over, remedy=f"correct {where}=")
        self.over = over

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
    r"""Divide an image by the brightness of its normal tissue, :math:`\min(\max(I / m, 0), 3)`; 0 outside the brain.

    m: the mode of the brain's histogram between its 35th and 95th percentile, smoothed: on FLAIR that of white matter
    with part of the grey. It hardly moves with the lesions' volume, as mean and standard deviation do: between a scan
    with 1 mL and one with 50 mL of lesions, normal tissue moved from z = 0.10 to 0.44 and the lesions' 95th percentile
    from 2.84 to 1.91, while over the mode lesions lay at 1.33 and 1.30.

    Departs from [1], which standardises.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __call__(
        self, image: Float[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
    ) -> Float[np.ndarray, "x y z"]:
        """Return the image with normal tissue at 1, as float32.

        Raises:
            ScanError: much of the brain is negative, or it is all of one value: there is no mode above 0.
        """
        mode = tissue_mode(image[brain])
        scaled = np.clip(image / mode, 0, _BRIGHTEST).astype(np.float32)
        return np.where(brain, scaled, np.float32(0))


def tissue_mode(values: Float[np.ndarray, " n"]) -> float:
    """Return the mode of the brain's values between their 35th and 95th percentile, smoothed.

    Raises:
        ScanError: more than a fifth of the values is negative, or there is no value above 0.
    """
    negative = float(np.mean(values < 0)) if values.size else 0.0
    positive = values[values > 0]
    if negative > _MOST_NEGATIVE or not positive.size:
        found = f"{negative:.0%} of the brain below 0" if positive.size else "none above 0"
        raise ScanError(
            "preprocess.intensity",
            expected="values as the scanner wrote them, above 0 in the brain",
            found=found,
            remedy="use the scan as it was before it was standardised",
        )
    low, high = np.percentile(positive, _RANGE)
    if high <= low:
        return float(high)
    counts, edges = np.histogram(positive, _BINS, (float(low), float(high)))
    top = int(ndimage.gaussian_filter1d(counts.astype(np.float64), _SMOOTH_BINS).argmax())
    return float((edges[top] + edges[top + 1]) / 2)
