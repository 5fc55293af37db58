"""Facts about one prepared case, without reading its arrays completely."""

import numpy as np
from jaxtyping import Bool

from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding
from joint_seg_cls.audit.flips import Mirrored, mirrored
from joint_seg_cls.audit.masks import check_mirrored, check_outside
from joint_seg_cls.audit.signature import content_hash, signature
from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.preprocess import without_numbers
from joint_seg_cls.scan import Geometry, PreparedCase

#: Every n-th plane is read to recognise duplicate scans.
_PLANE_STEP = 4


def measure_case(case: PreparedCase) -> ScanFacts:
    """Check one case: some planes of its image, its lesions, and warnings of its preparation.

    Raises:
        StoreError: an array cannot be opened.
    """
    planes = np.asarray(case.image()[0, ::_PLANE_STEP])
    brain = np.asarray(case.brain_mask()[::_PLANE_STEP], dtype=bool)
    native = case.geometry.native
    figures = case.provenance.get("lesions") or {}
    findings = _warnings_of_preparation(case)
    count = lesion_ml = None
    if (mask := case.lesion_mask()) is not None:
        lesions = np.asarray(mask, dtype=bool)
        count = figures.get("native_count", label_lesions(lesions)[1] if "native_count" not in figures else None)
        lesion_ml = figures.get("native_ml", float(lesions.sum()) * case.geometry.model.voxel_ml)
        path = case.folder / "lesion_mask.npy"
        outside = float((lesions & ~np.asarray(case.brain_mask(), dtype=bool)).sum()) / max(int(lesions.sum()), 1)
        findings += check_outside(case.case, path, outside)
        tissue = planes[brain].astype(np.float64) if brain.any() else planes.ravel()
        findings += check_mirrored(case.case, path, _mirrored(case, lesions, float(tissue.mean()), float(tissue.std())))
    return ScanFacts(
        case=case.case,
        subject=case.subject,
        disease=case.disease,
        columns=case.columns,
        shape=native.shape,
        spacing_mm=native.spacing_mm,
        axes=native.axes,
        has_reference=case.has_lesion_mask,
        lesion_ml=lesion_ml,
        lesion_count=count,
        contents=(content_hash(planes),),
        signature=signature(planes, brain),
        findings=tuple(findings),
    )


def mirror_centre(geometry: Geometry) -> np.ndarray:
    """Return the centre of the scan's own grid in voxels of the network's grid, about which reversed axes mirror."""
    middle = np.append((np.array(geometry.native.shape) - 1) / 2, 1.0)
    return np.linalg.solve(geometry.model.affine, geometry.native.affine @ middle)[:3]


def _mirrored(case: PreparedCase, lesions: Bool[np.ndarray, "x y z"], level: float, spread: float) -> list[Mirrored]:
    """Compare with mirror images; mean and standard deviation of the brain depend on the normalisation."""
    image = case.image()[0]
    return mirrored(image, lesions, level, spread, mirror_centre(case.geometry)) if lesions.any() else []


def _warnings_of_preparation(case: PreparedCase) -> list[Finding]:
    """Return the warnings of the preparation; warnings that differ only in numbers share one ``expected``."""
    return [
        Finding(
            "warning",
            "preparation",
            f"no warning such as: {without_numbers(str(warning))}",
            str(warning),
            "check the picture and quality measures of this case",
            (case.case,),
        )
        for warning in case.provenance.get("warnings", ())
    ]
