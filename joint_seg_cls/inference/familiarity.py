"""Whether the intensities of a scan are like those that a network was trained on.

Compared are quartiles and the 95th percentile of the prepared image inside the brain. A T1 has its median 17 % or more
below the mode, a FLAIR within 10 %.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

#: Quantiles that are compared.
QUANTILES = (0.25, 0.5, 0.75, 0.95)
#: Share of the training images inside the recorded range, and by which share of its width a scan may leave it.
_INSIDE, _TOLERANCE = 0.95, 0.5

#: Lowest and highest value of a quantile, by the quantile as text.
Ranges = Mapping[str, tuple[float, float]]


def quantiles_of(image: Float[np.ndarray, "c x y z"]) -> dict[str, float]:
    """Return the quantiles of the first channel inside the brain, where it is not 0; none of an empty image."""
    values = image[0][image[0] != 0]
    if not values.size:
        return {}
    return dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True))


def ranges_of(images: Iterable[Float[np.ndarray, "c x y z"]]) -> dict[str, tuple[float, float]]:
    """Return the range of each quantile over training images, without the 2.5 % at either end."""
    measured = [list(quantiles_of(image).values()) for image in images]
    ends = np.quantile(np.array(measured), [(1 - _INSIDE) / 2, (1 + _INSIDE) / 2], axis=0)
    return {str(name): (float(low), float(high)) for name, (low, high) in zip(QUANTILES, ends.T, strict=True)}


def unlike(image: Float[np.ndarray, "c x y z"], ranges: Ranges) -> str | None:
    """Return a sentence if a quantile of ``image`` lies far outside the range of the training images, else None."""
    for name, value in quantiles_of(image).items():
        if name not in ranges:
            continue
        low, high = ranges[name]
        margin = _TOLERANCE * (high - low)
        if not low - margin <= value <= high + margin:
            return (
                f"intensities unlike those of the training images: quantile {name} of the brain is {value:.2f}, "
                f"in training {low:.2f} to {high:.2f}; check that the scan is a FLAIR"
            )
    return None
