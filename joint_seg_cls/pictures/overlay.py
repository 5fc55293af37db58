"""A slice as a colour image: grey scan, masks as outline or fill, maps in colour."""

import numpy as np
from jaxtyping import Bool, Float, Num
from matplotlib import colormaps
from scipy import ndimage

#: Colours distinguishable by colour-blind readers (Okabe and Ito), as red, green and blue in [0, 1].
REFERENCE_COLOUR = (0.0, 0.62, 0.45)
PREDICTION_COLOUR = (0.84, 0.37, 0.0)


def grey(image: Num[np.ndarray, "row column"], levels: tuple[float, float]) -> Float[np.ndarray, "row column rgb"]:
    """Return ``image`` as grey, with ``levels`` as black and white."""
    black, white = levels
    value = np.clip((image.astype(np.float64) - black) / (white - black), 0, 1)
    return np.repeat(value[..., None], 3, axis=-1)


def with_fill(
    picture: Float[np.ndarray, "row column rgb"],
    mask: Bool[np.ndarray, "row column"],
    colour: tuple[float, float, float],
    opacity: float = 0.5,
) -> Float[np.ndarray, "row column rgb"]:
    """Tint the pixels of ``mask``."""
    return np.where(mask[..., None], (1 - opacity) * picture + opacity * np.array(colour), picture)


def with_outline(
    picture: Float[np.ndarray, "row column rgb"],
    mask: Bool[np.ndarray, "row column"],
    colour: tuple[float, float, float],
) -> Float[np.ndarray, "row column rgb"]:
    """Draw the border pixels of ``mask`` in full colour."""
    return with_fill(picture, mask & ~ndimage.binary_erosion(mask, border_value=0), colour, 1.0)


def with_map(
    picture: Float[np.ndarray, "row column rgb"],
    values: Float[np.ndarray, "row column"],
    levels: tuple[float, float],
    colours: str = "inferno",
    opacity: float = 0.85,
) -> Float[np.ndarray, "row column rgb"]:
    """Overlay a map; higher values between ``levels`` are brighter and less transparent."""
    low, high = levels
    share = np.clip((values.astype(np.float64) - low) / (high - low if high > low else 1.0), 0, 1)
    colour = colormaps[colours](share)[..., :3]
    weight = (opacity * np.sqrt(share))[..., None]
    return (1 - weight) * picture + weight * colour
