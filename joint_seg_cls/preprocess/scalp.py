"""Removal of scalp that an extracted brain mask includes."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.preprocess.intensity import tissue_mode
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.grid import bounding_box

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
