"""Lesion-wise and surface metrics of a scan, in its own grid."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from joint_seg_cls.metrics import (
    SIZES,
    SURFACE_TOLERANCE_MM,
    detected_by_size,
    diagonal_mm,
    hd95_mm,
    lesion_wise,
    msseg,
    surface_dice,
)
from joint_seg_cls.scan import Grid

SURFACE_DICE = f"surface_dice_{SURFACE_TOLERANCE_MM:g}mm"
#: Columns that are NaN if one of the two masks is unknown.
LESION_COLUMNS = (
    *("lesions_detected", "lesions_false", "ltpr", "lfpr", "lesion_f1"),
    *("isbi_ltpr", "isbi_lfpr"),
    *("msseg_sensl", "msseg_ppvl", "msseg_f1", "msseg_false_lesions", "msseg_false_volume_mm3"),
    *("hd95_mm", SURFACE_DICE),
    *(f"lesions_{what}_{size}" for size in SIZES for what in ("reference", "detected")),
)


def lesion_columns(
    prediction: Bool[np.ndarray, "x y z"] | None, reference: Bool[np.ndarray, "x y z"] | None, grid: Grid
) -> dict[str, float]:
    """Return the values of ``LESION_COLUMNS`` for one scan with masks on ``grid``."""
    if prediction is None or reference is None:
        return dict.fromkeys(LESION_COLUMNS, np.nan)
    penalty_mm = diagonal_mm(reference.shape, grid.spacing_mm)
    part = _box_around(prediction | reference)
    masks = prediction[part], reference[part]
    voxel_mm3 = grid.voxel_ml * 1000
    plain, isbi, anima = lesion_wise(*masks), lesion_wise(*masks, connectivity=18), msseg(*masks, voxel_mm3)
    by_size = detected_by_size(*masks, voxel_mm3)
    numbers = (
        *(plain.detected_lesions, plain.false_lesions, plain.ltpr, plain.lfpr, plain.f1),
        *(isbi.ltpr, isbi.lfpr),
        *anima,
        hd95_mm(*masks, grid.spacing_mm, penalty_mm=penalty_mm),
        surface_dice(*masks, grid.spacing_mm),
        *(count for size in SIZES for count in by_size[size]),
    )
    return dict(zip(LESION_COLUMNS, map(float, numbers), strict=True))


def _box_around(mask: Bool[np.ndarray, "x y z"]) -> tuple[slice, ...]:
    """Return the bounding box of all lesions, to restrict computations to it."""
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    return boxes[0] if boxes else (slice(0, 1),) * mask.ndim
