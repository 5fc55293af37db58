"""The scale of intensities: mean 0, standard deviation 1 (Huang et al. 2024 [1], section 3.1).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from typing import final

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.errors import ConfigError

#: Over which voxels mean and standard deviation run.
REGIONS = ("brain", "volume")


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
