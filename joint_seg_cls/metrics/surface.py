"""Distances between the surfaces of two lesion masks, in millimetres.

Empty masks: with an empty reference both metrics are undefined (NaN); with only an empty prediction they have the worst
value: surface Dice 0, HD95 the diagonal of the grid. (Otherwise missed scans would be excluded from the mean, and a
network that misses more would look better.)
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from joint_seg_cls.metrics.voxel_wise import Mask, on_one_grid

#: Tolerance for agreement of surfaces; about a voxel of a 3-D FLAIR.
SURFACE_TOLERANCE_MM = 1.0


def hd95_mm(
    prediction: Mask,
    reference: Mask,
    spacing_mm: tuple[float, float, float],
    *,
    penalty_mm: float | None = None,
) -> float:
    """Return the 95th percentile of the Hausdorff distance, the larger of its two directions.

    Computed by MONAI between the centres of the voxels that share a face with the background.

    Args:
        penalty_mm: value of an empty prediction; by default the diagonal of the grid.

    Raises:
        ValueError: masks of different shape, or with values other than 0 and 1.
    """
    predicted, truth = on_one_grid(prediction, reference)
    if not truth.any():
        return math.nan
    if not predicted.any():
        return diagonal_mm(truth.shape, spacing_mm) if penalty_mm is None else penalty_mm
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    with _without_monai_warning():
        distance = compute_hausdorff_distance(
            *_as_batches(predicted, truth), include_background=True, percentile=95, spacing=list(spacing_mm)
        )
    return float(distance)


def surface_dice(
    prediction: Mask,
    reference: Mask,
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = SURFACE_TOLERANCE_MM,
) -> float:
    """Return the share of both surfaces, by area, within ``tolerance_mm`` of the other surface.

    Computed by MONAI on the sub-voxel surface, weighted by area in mm2 [1], so that thick slices are fully counted.

    Args:
        tolerance_mm: distance up to which surfaces agree.

    Raises:
        ValueError: masks of different shape, or with values other than 0 and 1.

    [1] Nikolov et al. 2021, https://doi.org/10.2196/26151
    """
    predicted, truth = on_one_grid(prediction, reference)
    if not truth.any():
        return math.nan
    if not predicted.any():
        return 0.0
    from monai.metrics.surface_dice import compute_surface_dice

    with _without_monai_warning():
        share = compute_surface_dice(
            *_as_batches(predicted, truth),
            class_thresholds=[tolerance_mm],
            include_background=True,
            spacing=list(spacing_mm),
            use_subvoxels=True,
        )
    return float(share)


def diagonal_mm(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> float:
    """Return the diagonal of a whole grid."""
    return float(np.linalg.norm(np.multiply(shape, spacing_mm)))


def _as_batches(*masks: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = (torch.from_numpy(np.ascontiguousarray(mask))[None, None] for mask in masks)
    return first, second


@contextmanager
def _without_monai_warning() -> Iterator[None]:
    """Silence a warning of MONAI about its own code, https://github.com/Project-MONAI/MONAI/issues/9059."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        yield
