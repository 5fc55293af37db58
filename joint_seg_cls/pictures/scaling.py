"""Resizing slices to one height and square pixels."""

import numpy as np
from jaxtyping import Bool, Num
from scipy import ndimage


def square_pixels(
    picture: Num[np.ndarray, "row column ..."] | Bool[np.ndarray, "row column"],
    aspect: float,
    height: int,
    *,
    order: int,
) -> Num[np.ndarray, "ROW COLUMN ..."] | Bool[np.ndarray, "ROW COLUMN"]:
    """Return a picture of square pixels.

    Args:
        picture: a slice, with colours on the last axis if it has three.
        height: rows of the result.
        order: order of the interpolation: 1 for grey levels, 0 for masks.
    """
    up = height / picture.shape[0]
    width = max(round(picture.shape[1] * up / aspect), 1)
    rows = (np.arange(height) + 0.5) / up - 0.5
    columns = (np.arange(width) + 0.5) * picture.shape[1] / width - 0.5
    where = np.meshgrid(rows, columns, indexing="ij")
    layers = np.asarray(picture, dtype=np.float32)
    layers = layers[..., None] if picture.ndim == 2 else layers
    scaled = np.stack(
        [ndimage.map_coordinates(layers[..., k], where, order=order, mode="nearest") for k in range(layers.shape[-1])],
        axis=-1,
    )
    return scaled[..., 0] if picture.ndim == 2 else scaled
