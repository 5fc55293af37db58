"""Checks of the files of one row of a cohort table; runs in a worker process."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding, from_refusal
from joint_seg_cls.audit.flips import mirrored
from joint_seg_cls.audit.headers import check_header
from joint_seg_cls.audit.intensities import check_intensities
from joint_seg_cls.audit.masks import check_mirrored, check_place, read_masks
from joint_seg_cls.audit.rows import Row
from joint_seg_cls.audit.signature import content_hash, signature
from joint_seg_cls.errors import ScanError
from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.preprocess import LARGEST_BRAIN_ML, detect_skull
from joint_seg_cls.scan import (
    Grid,
    LesionValue,
    MaskGeometry,
    VolumeHeader,
    read_mask,
    read_volume,
    reorient,
    require_contrast,
)

#: Minimum fraction of zero voxels for a background of exactly 0.
_BACKGROUND_SHARE = 0.2
_BRAIN_ML = (600.0, LARGEST_BRAIN_ML)


@final
@dataclass(frozen=True, eq=False)
class Volume:
    """A scan with RAS+ axes, and its tissue: the brain if known, else the foreground."""

    image: Float[np.ndarray, "x y z"]
    grid: Grid
    native: Grid
    tissue: Bool[np.ndarray, "x y z"]
    is_brain: bool


def measure_row(row: Row, lesion_value: LesionValue = None, mask_geometry: MaskGeometry = "header") -> ScanFacts:
    """Read all files of a row; a faulty file does not prevent checks of the others."""
    findings: list[Finding] = list(row.findings)
    volumes = [read for path in row.images.values() if (read := _read_image(row.case, path, findings)) is not None]
    first = next(iter(row.images.values()), None)
    scan = volumes[0] if volumes and volumes[0][0] == first else None
    facts = {"case": row.case, "subject": row.subject, "disease": row.disease, "columns": row.columns}
    if scan is None:
        findings += read_masks(row.case, row.lesion_masks, None, lesion_value, mask_geometry).findings
        return ScanFacts(**facts, has_reference=bool(row.lesion_masks), findings=tuple(findings))
    path, data, head = scan
    grid = head.grid
    findings += _same_volume(row.case, volumes)
    volume = _volume(row, data, head, mask_geometry, findings)
    masks = read_masks(row.case, row.lesion_masks, head, lesion_value, mask_geometry)
    findings += masks.findings
    values = volume.image[volume.tissue]
    level, spread = (float(np.median(values)), float(values.std())) if values.size else (0.0, 0.0)
    findings += check_intensities(row.case, path, values)
    count = lesion_ml = None
    if masks.lesions is not None:
        lesions = reorient(masks.lesions, grid, volume.grid)
        count, lesion_ml = label_lesions(lesions)[1], float(lesions.sum()) * grid.voxel_ml
        mask_path = next(iter(row.lesion_masks.values()))
        if volume.is_brain:
            findings += check_place(row.case, mask_path, lesions, volume.tissue)
        centre = (np.array(lesions.shape) - 1) / 2
        findings += check_mirrored(row.case, mask_path, mirrored(volume.image, lesions, level, spread, centre))
    return ScanFacts(
        **facts,
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        axes=grid.axes,
        level=level,
        has_reference=bool(row.lesion_masks),
        lesion_ml=lesion_ml,
        lesion_count=count,
        contents=(content_hash(data), content_hash(volume.image)),
        signature=signature(volume.image, volume.tissue),
        findings=tuple(findings),
    )


def open_row(
    row: Row, lesion_value: LesionValue = None, mask_geometry: MaskGeometry = "header"
) -> tuple[Volume, Bool[np.ndarray, "x y z"] | None] | None:
    """Read a row again to draw it: its first image and its lesions, axes RAS+; None if the image is unusable."""
    path = next(iter(row.images.values()), None)
    read = None if path is None else _read_image(row.case, path, [])
    if read is None:
        return None
    _, data, head = read
    volume = _volume(row, data, head, mask_geometry, [])
    lesions = read_masks(row.case, row.lesion_masks, head, lesion_value, mask_geometry).lesions
    return volume, None if lesions is None else reorient(lesions, head.grid, volume.grid)


def _read_image(
    case: str, path: Path, findings: list[Finding]
) -> tuple[Path, Float[np.ndarray, "x y z"], VolumeHeader] | None:
    try:
        data, head = read_volume(path, remedy="extract the one volume to be used")
        findings += check_header(case, head)
        require_contrast(path, data)
    except ScanError as error:
        findings.append(from_refusal(error, "files", case))
        return None
    return path, data, head


def _volume(
    row: Row,
    data: Float[np.ndarray, "x y z"],
    head: VolumeHeader,
    mask_geometry: MaskGeometry,
    findings: list[Finding],
) -> Volume:
    grid = head.grid
    canonical = grid.canonical()
    image = reorient(data, grid, canonical)
    given = _given_brain(row, head, mask_geometry, findings)
    if given is not None:
        return Volume(image, canonical, grid, reorient(given, grid, canonical), is_brain=True)
    if (image == 0).mean() >= _BACKGROUND_SHARE:
        skull, tissue = detect_skull(image, canonical)
        if skull == "unclear":
            findings.append(_unclear_skull(row.case, head.path))
        return Volume(image, canonical, grid, tissue, is_brain=skull != "present")
    return Volume(image, canonical, grid, image > image.mean(), is_brain=False)


def _unclear_skull(case: str, path: Path) -> Finding:
    return Finding(
        "warning",
        "brain masks",
        "a scan clearly with or clearly without skull",
        "it is not clear whether this scan includes the skull",
        "check the picture and give its brain mask in the column brain_mask",
        (case,),
        str(path),
    )


def _given_brain(
    row: Row, head: VolumeHeader, mask_geometry: MaskGeometry, findings: list[Finding]
) -> Bool[np.ndarray, "x y z"] | None:
    if row.brain_mask is None:
        return None
    try:
        brain = read_mask(row.brain_mask, head.grid, of="brain", geometry=mask_geometry, other=head.other)
    except ScanError as error:
        check = "grids" if error.expected.startswith("the grid") else "files"
        check = "mask values" if error.expected.startswith("a mask") else check
        findings.append(from_refusal(error, check, row.case))
        return None
    volume_ml = float(brain.sum()) * head.grid.voxel_ml
    if not _BRAIN_ML[0] <= volume_ml <= _BRAIN_ML[1]:
        findings.append(
            Finding(
                "error" if volume_ml == 0 else "warning",
                "brain masks",
                f"a brain of {_BRAIN_ML[0]:.0f} to {_BRAIN_ML[1]:.0f} mL",
                f"a brain mask of {volume_ml:.0f} mL",
                "check the mask and extract the brain again",
                (row.case,),
                str(row.brain_mask),
            )
        )
    return brain if brain.any() else None


def _same_volume(case: str, volumes: list[tuple[Path, Float[np.ndarray, "x y z"], VolumeHeader]]) -> list[Finding]:
    """Report two modalities of one scan that are the same volume."""
    first_of: dict[str, Path] = {}
    findings = []
    for path, data, _ in volumes:
        key = content_hash(data)
        if key in first_of:
            findings.append(
                Finding(
                    "warning",
                    "duplicates",
                    "a different volume for each modality",
                    f"the same voxels as in {first_of[key].name}",
                    "correct the path in the table",
                    (case,),
                    str(path),
                )
            )
        first_of.setdefault(key, path)
    return findings
