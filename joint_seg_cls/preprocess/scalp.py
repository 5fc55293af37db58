"""Removal of skin and scalp that an extracted brain mask includes."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.preprocess.intensity import tissue_mode
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.grid import bounding_box

#: Radius of a ball of air outside the head; nostrils and ear canals are narrower.
_BALL_MM = 8.0
#: The distance to the skin is computed on every second voxel along each axis.
_STRIDE = 2
#: Maximum depth of scalp below the surface of the mask.
_DEEPEST_MM = 20.0
#: Width of the voxels around it that hold scalp in part.
_EDGE_MM = 2.5
#: Intensity below which voxels connected with the outside are air, in units of the brain's tissue.
_AIR = 0.15
#: Standard deviation of the Gaussian window in which the local brightness of tissue is estimated.
_AROUND_MM = 20.0
#: Maximum distance between the scalp and the outside: its edge may be blurred.
_NEAR_MM = 4.0


def remove_scalp(
    mask: Bool[np.ndarray, "x y z"], image: Float[np.ndarray, "x y z"], grid: Grid, brighter_than: float
) -> Bool[np.ndarray, "x y z"]:
    """Return ``mask`` without bright tissue that begins within 4 mm of the outside, and without 2.5 mm around it.

    Above the brain, where slices cut the skull at a flat angle, a mask can reach across the skull into the scalp. Its
    fat is brighter than any tissue of the brain, and looks like lesions to a network.

    Args:
        brighter_than: intensity above which tissue is scalp, relative to that of the brain (:func:`tissue_mode`)
            or, near a coil, to the local mean.
    """
    if not (image[mask] > 0).any():
        return mask
    box = bounding_box(mask)
    inside, spacing = np.pad(mask[box], 1), grid.spacing_mm
    relative = np.pad(image[box] / tissue_mode(np.maximum(image[mask], 0)), 1)
    outer = inside & (ndimage.distance_transform_edt(inside, sampling=spacing) <= _DEEPEST_MM)
    # The mask can reach through the scalp into the air.
    air = ndimage.binary_propagation(~inside, mask=~inside | (outer & (relative < _AIR)))
    # Near a coil the brain itself is bright, so the threshold rises with the local mean.
    sigma = [_AROUND_MM / step for step in spacing]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    around = ndimage.gaussian_filter(np.where(inside, np.minimum(relative, brighter_than), 0).astype(np.float32), sigma)
    bright = outer & (relative > brighter_than * np.maximum(around / np.maximum(weight, 1e-3), 1))
    near_air = ndimage.distance_transform_edt(~air, sampling=spacing) <= _NEAR_MM
    scalp = ndimage.binary_propagation(bright & near_air, mask=bright)
    if not scalp.any():
        return mask
    cleaned = np.zeros_like(mask)
    away = ndimage.distance_transform_edt(~scalp, sampling=spacing) > _EDGE_MM
    cleaned[box] = (inside & away)[1:-1, 1:-1, 1:-1]
    return cleaned


def remove_skin(
    mask: Bool[np.ndarray, "x y z"], image: Float[np.ndarray, "x y z"], voxel_mm: float, within_mm: int | float
) -> Bool[np.ndarray, "x y z"]:
    """Return ``mask`` without voxels within ``within_mm`` of the air around the head.

    Skin, fat and bone separate the brain from this air. Above the brain, where slices cut the skull at a flat angle, a
    mask can reach through all of them.

    Args:
        image: the whole head, in cubic voxels.
        voxel_mm: their size.
    """
    every = (slice(None, None, _STRIDE),) * 3
    if not (image[mask] > 0).any():
        return mask
    air = image[every] < _AIR * tissue_mode(np.maximum(image[mask], 0))
    size = _STRIDE * voxel_mm
    # The field of view continues as at its border, so that a ball there need not fit in.
    margin = round(_BALL_MM / size) + 1
    wide = ndimage.distance_transform_edt(np.pad(air, margin, mode="edge")) * size > _BALL_MM
    outside = _reaching_border(wide)
    if not outside.any():
        return mask
    depth = ndimage.distance_transform_edt(~outside) * size - _BALL_MM
    inner = tuple(slice(margin, -margin) for _ in range(3))
    skin = (depth <= within_mm)[inner]
    for axis in range(3):
        skin = skin.repeat(_STRIDE, axis=axis)
    return mask & ~skin[tuple(map(slice, mask.shape))]


def _reaching_border(voxels: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return the connected parts that reach a border of the volume in the first two axes."""
    border = np.zeros_like(voxels)
    for side in (0, -1):
        border[side] = border[:, side] = True
    return ndimage.binary_propagation(border & voxels, mask=voxels)
