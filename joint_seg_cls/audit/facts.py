"""Facts about one scan, raw or prepared."""

from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Float32

from joint_seg_cls.audit.finding import Finding


@final
@dataclass(frozen=True, eq=False)
class ScanFacts:
    """One scan. Unknown values are None or empty.

    Attributes:
        columns: further columns of the cohort table.
        shape: voxels along each axis of the scan's own grid.
        spacing_mm: voxel size along each axis of that grid.
        axes: direction of its axes, such as ``LPS``.
        level: median intensity of tissue of a raw scan.
        has_reference: whether there is a lesion mask.
        lesion_ml: volume of the lesions.
        contents: hashes of the voxel values; scans with a common hash are the same scan.
        signature: a coarse picture of the head; scans with correlated signatures are similar.
    """

    case: str
    subject: str
    disease: str | None
    columns: dict[str, str]
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    axes: str = ""
    level: float | None = None
    has_reference: bool = False
    lesion_ml: float | None = None
    lesion_count: int | None = None
    contents: tuple[str, ...] = ()
    signature: Float32[np.ndarray, " blocks"] | None = field(default=None, repr=False)
    findings: tuple[Finding, ...] = ()
