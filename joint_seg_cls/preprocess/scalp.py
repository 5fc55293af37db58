"""Removal of scalp that an extracted brain mask includes."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.preprocess.intensity import tissue_mode
from joint_seg_cls.scan import Grid

#: Maximum depth of scalp below the surface of the mask.
_DEEPEST_MM = 20.0
#: Width of the voxels around it that hold scalp in part.
_EDGE_MM = 2.5
#: In-plane distance from the surface, in voxels, at which scalp begins.
_SURFACE_VOXELS = 1.5


def remove_scalp(
    mask: Bool[np.ndarray, "x y z"], image: Float[np.ndarray, "x y z"], grid: Grid, brighter_than: float
) -> Bool[np.ndarray, "x y z"]:
    """Return ``mask`` without the bright tissue that is connected with its surface, and 2.5 mm around that tissue.

    Above the brain, where slices cut the skull at a flat angle, a mask can reach across the skull into the scalp. Its
    fat is brighter than any tissue of the brain, and looks like lesions to a network.

    Args:
        mask: an extracted brain.
        image: the scan.
        grid: the grid of both.
        brighter_than: intensity above which tissue is scalp, in units of the brain's tissue (:func:`tissue_mode`).
    """
    if not (image[mask] > 0).any():
        return mask
    box = ndimage.find_objects(mask.astype(np.int8))[0]
    inside, spacing = np.pad(mask[box], 1), grid.spacing_mm
    bright = np.pad(image[box] > brighter_than * tissue_mode(np.maximum(image[mask], 0)), 1) & inside
    depth_mm = ndimage.distance_transform_edt(inside, sampling=spacing)
    bright &= depth_mm <= _DEEPEST_MM
    scalp = ndimage.binary_propagation(bright & (depth_mm <= _SURFACE_VOXELS * min(spacing)), mask=bright)
    if not scalp.any():
        return mask
    cleaned = np.zeros_like(mask)
    away = ndimage.distance_transform_edt(~scalp, sampling=spacing) > _EDGE_MM
    cleaned[box] = (inside & away)[1:-1, 1:-1, 1:-1]
    return cleaned
