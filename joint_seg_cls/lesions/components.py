"""Lesions as connected components: volume, position and shape of each."""

import math
from typing import Literal

import cc3d
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from joint_seg_cls.scan.grid import Grid

#: Neighbours that belong to one lesion: 6 share a face, 18 a face or an edge, 26 a face, an edge or a corner.
Connectivity = Literal[6, 18, 26]
#: Default connectivity, except for the rules of challenges that define another.
CONNECTIVITY: Connectivity = 26
COLUMNS = (
    *("lesion", "voxels", "volume_ml", "centroid_x_mm", "centroid_y_mm", "centroid_z_mm"),
    *("long_mm", "middle_mm", "short_mm", "fill", "direction_x", "direction_y", "direction_z"),
)


def label_lesions(
    mask: Bool[np.ndarray, "x y z"], connectivity: Connectivity = CONNECTIVITY
) -> tuple[Int[np.ndarray, "x y z"], int]:
    """Number the lesions of ``mask`` 1, 2, ... (26-connected components; background 0) and count them."""
    labels, count = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=connectivity, return_N=True)
    return labels.astype(np.int32), int(count)


def without_small(mask: Bool[np.ndarray, "x y z"], least_voxels: float) -> Bool[np.ndarray, "x y z"]:
    """Return ``mask`` without the lesions of fewer than ``least_voxels`` voxels."""
    if least_voxels <= 1:
        return mask
    labels, count = label_lesions(mask)
    kept = np.bincount(labels.ravel(), minlength=count + 1) >= least_voxels
    kept[0] = False
    return kept[labels]


def lesion_table(mask: Bool[np.ndarray, "x y z"], grid: Grid) -> pd.DataFrame:
    r"""Describe every lesion of ``mask``, one row per lesion, in the order of :func:`label_lesions`.

    A lesion is approximated by the solid ellipsoid with the same covariance :math:`\Sigma` (voxels count as small
    boxes, so that a single voxel has an extent): its axes have length :math:`2\sqrt{5\lambda_k}`, :math:`\lambda_k` the
    eigenvalues of :math:`\Sigma`. This is the largest volume with that covariance, so ``fill``, the volume of the
    lesion divided by that of the ellipsoid, is in (0, 1]; irregular and confluent lesions have a low ``fill``.

    Returns:
        Columns ``lesion`` (its label), ``voxels``, ``volume_ml``, ``centroid_{x,y,z}_mm`` (RAS+ world space),
        ``long_mm``, ``middle_mm``, ``short_mm`` (full lengths of the axes), ``fill``, ``direction_{x,y,z}`` (unit
        vector along the long axis). No rows for an empty mask.
    """
    labels, count = label_lesions(mask)
    if count == 0:
        return pd.DataFrame(
            {name: pd.Series(dtype=np.int64 if name in COLUMNS[:2] else np.float64) for name in COLUMNS}
        )
    flat = np.flatnonzero(labels)
    owner = labels.ravel()[flat] - 1
    index = np.stack(np.unravel_index(flat, labels.shape)).astype(np.float64)
    position = grid.affine[:3, :3] @ index + grid.affine[:3, 3:]
    voxels = np.bincount(owner, minlength=count)
    centroid = np.stack([np.bincount(owner, axis, count) for axis in position], axis=1) / voxels[:, None]
    length, direction = _axes_mm(position - centroid.T[:, owner], owner, voxels, grid)
    volume_ml = voxels * grid.voxel_ml
    ellipsoid_ml = math.pi / 6 * length.prod(axis=1) / 1000
    columns = (
        *(np.arange(1, count + 1), voxels, volume_ml, *centroid.T, *length.T),
        *(volume_ml / ellipsoid_ml, *direction.T),
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _axes_mm(
    offset: Float[np.ndarray, "3 voxels"], owner: Int[np.ndarray, " voxels"], voxels: Int[np.ndarray, " n"], grid: Grid
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Return the axis lengths of the ellipsoids, longest first, and the directions of the longest axes."""
    count = len(voxels)
    covariance = np.empty((count, 3, 3))
    for a in range(3):
        for b in range(3):
            covariance[:, a, b] = np.bincount(owner, offset[a] * offset[b], count) / voxels
    one_voxel = grid.affine[:3, :3] @ grid.affine[:3, :3].T / 12
    spread, vectors = np.linalg.eigh(covariance + one_voxel)
    return 2 * np.sqrt(5 * spread[:, ::-1]), vectors[:, :, -1]
