"""Lesion filling: lesions of a prepared image replaced by the tissue around them."""

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

#: Width of the Gaussian weights of the surrounding tissue, and widening of the lesions, in voxels.
_REACH, _WIDER = 3.0, 1
#: Share of the brain with the lowest FLAIR intensities, mostly cerebrospinal fluid, which is not used.
_DARK = 0.25


def filled(
    image: Float32[np.ndarray, "c x y z"],
    lesions: Bool[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "c x y z"]:
    r"""Return the image with lesions and their rim of one voxel filled.

    .. math:: I'(x) = \frac{(G * mI)(x)}{(G * m)(x)} + \epsilon

    G: Gaussian; m: brain outside lesions, without the quarter with the lowest FLAIR intensities; :math:`\epsilon`:
    normal noise of the standard deviation of :math:`I - G_1 * I` over m. Where no such voxel is near, the mean over m
    is used.

    Args:
        image: the first channel is the FLAIR.
        rng: of the noise.
    """
    wide = ndimage.binary_dilation(lesions, iterations=_WIDER) & brain
    normal = brain & ~wide
    if not wide.any() or not normal.any():
        return image
    normal &= image[0] >= np.quantile(image[0][normal], _DARK)
    weight = ndimage.gaussian_filter(normal.astype(np.float32), _REACH)
    result = image.copy()
    for channel in result:
        around = ndimage.gaussian_filter(np.where(normal, channel, np.float32(0)), _REACH)
        near = weight[wide] > 1e-3
        values = np.where(near, around[wide] / np.maximum(weight[wide], 1e-3), channel[normal].mean())
        noise = (channel - ndimage.gaussian_filter(channel, 1.0))[normal].std()
        channel[wide] = values + noise * rng.standard_normal(len(values))
    return result


def mirrored(lesions: Bool[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return a control for lesions: their mirror image about the middle of the brain (first axis), without lesions."""
    if not brain.any():
        return np.zeros_like(brain)
    occupied = np.flatnonzero(brain.any(axis=(1, 2)))
    shift = int(occupied[0] + occupied[-1] - (len(brain) - 1))
    flipped = np.roll(lesions[::-1], shift, axis=0)
    return flipped & brain & ~ndimage.binary_dilation(lesions, iterations=2 * _WIDER)
