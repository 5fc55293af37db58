"""The scale of intensities: mean 0, standard deviation 1 (Huang et al. 2024 [1], section 3.1).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from typing import final

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.errors import ConfigError

#: Over which voxels mean and standard deviation run.
REGIONS = ("brain", "volume")


#: Share of the values at either end that :func:`extremes_sd_ratio` clips.
_EXTREME = 0.001


def extremes_sd_ratio(values: Float[np.ndarray, " voxels"]) -> float:
    """Return the standard deviation over that of the same values clipped at their 0.1st and 99.9th percentile.

    It is near 1 unless a few extreme voxels decide the scale of all others.
    """
    low, high = np.quantile(values, (_EXTREME, 1 - _EXTREME))
    clipped = float(np.clip(values, low, high).std(dtype=np.float64))
    return float(values.std(dtype=np.float64)) / clipped if clipped > 0 else 1.0


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
