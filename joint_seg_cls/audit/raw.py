"""Everything about one row of a cohort table that its files tell; made to run in a process of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding, from_refusal
from joint_seg_cls.audit.flips import mirrored
from joint_seg_cls.audit.headers import check_header
from joint_seg_cls.audit.intensities import check_intensities
from joint_seg_cls.audit.masks import check_place, read_masks, told_mirrored
from joint_seg_cls.audit.rows import Row
from joint_seg_cls.audit.signature import content_hash, signature
from joint_seg_cls.errors import ScanError
from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.scan import (
    Grid,
    LesionValue,
    read_mask,
    read_volume,
    reorient,
    require_contrast,
)

#: A scan has lost its skull where at least this share is exactly 0 and the rest is no larger than a brain.
_STRIPPED_SHARE = 0.2
_LARGEST_BRAIN_ML = 2500.0
_BRAIN_ML = (600.0, _LARGEST_BRAIN_ML)


@final
@dataclass(frozen=True, eq=False)
class Volume:
    """A scan with RAS+ axes, and its tissue: the brain where it is known, else what is not background."""

    image: Float[np.ndarray, "x y z"]
    grid: Grid
    native: Grid
    tissue: Bool[np.ndarray, "x y z"]
    is_brain: bool


def measure_row(row: Row, lesion_value: LesionValue = None) -> ScanFacts:
    """Read all files of a row; what is wrong with one does not keep the others from being looked at."""
    findings: list[Finding] = list(row.findings)
    volumes = [read for path in row.images.values() if (read := _read_image(row.case, path, findings)) is not None]
    first = next(iter(row.images.values()), None)
    scan = volumes[0] if volumes and volumes[0][0] == first else None
    facts = {"case": row.case, "subject": row.subject, "disease": row.disease, "columns": row.columns}
    if scan is None:
        findings += read_masks(row.case, row.lesion_masks, None, lesion_value).findings
        return ScanFacts(**facts, has_reference=bool(row.lesion_masks), findings=tuple(findings))
    path, data, grid = scan
    findings += _same_volume(row.case, volumes)
    volume = _volume(row, data, grid, findings)
    masks = read_masks(row.case, row.lesion_masks, grid, lesion_value)
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
        findings += told_mirrored(row.case, mask_path, mirrored(volume.image, lesions, level, spread, centre))
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


def open_row(row: Row, lesion_value: LesionValue = None) -> tuple[Volume, Bool[np.ndarray, "x y z"] | None] | None:
    """Read a row again to draw it: its first image and its lesions, axes RAS+; None where the image is unusable."""
    path = next(iter(row.images.values()), None)
    read = None if path is None else _read_image(row.case, path, [])
    if read is None:
        return None
    volume = _volume(row, read[1], read[2], [])
    lesions = read_masks(row.case, row.lesion_masks, read[2], lesion_value).lesions
    return volume, None if lesions is None else reorient(lesions, read[2], volume.grid)


def _read_image(case: str, path: Path, findings: list[Finding]) -> tuple[Path, Float[np.ndarray, "x y z"], Grid] | None:
    try:
        data, grid = read_volume(path, remedy="extract the one volume to be used")
        findings += check_header(case, path, grid)
        require_contrast(path, data)
    except ScanError as error:
        findings.append(from_refusal(error, "files", case))
        return None
    return path, data, grid


def _volume(row: Row, data: Float[np.ndarray, "x y z"], grid: Grid, findings: list[Finding]) -> Volume:
    canonical = grid.canonical()
    image = reorient(data, grid, canonical)
    given = _given_brain(row, grid, findings)
    if given is not None:
        return Volume(image, canonical, grid, reorient(given, grid, canonical), is_brain=True)
    background = image == 0
    if background.mean() >= _STRIPPED_SHARE:
        brain = ndimage.binary_fill_holes(~background)
        is_brain = float(brain.sum()) * grid.voxel_ml <= _LARGEST_BRAIN_ML
        return Volume(image, canonical, grid, brain, is_brain)
    return Volume(image, canonical, grid, image > image.mean(), is_brain=False)


def _given_brain(row: Row, grid: Grid, findings: list[Finding]) -> Bool[np.ndarray, "x y z"] | None:
    if row.brain_mask is None:
        return None
    try:
        brain = read_mask(row.brain_mask, grid, of="brain")
    except ScanError as error:
        check = "grids" if error.expected.startswith("the grid") else "files"
        check = "mask values" if error.expected.startswith("a mask") else check
        findings.append(from_refusal(error, check, row.case))
        return None
    volume_ml = float(brain.sum()) * grid.voxel_ml
    if not _BRAIN_ML[0] <= volume_ml <= _BRAIN_ML[1]:
        findings.append(
            Finding(
                "error" if volume_ml == 0 else "warning",
                "brain masks",
                f"a brain of {_BRAIN_ML[0]:.0f} to {_BRAIN_ML[1]:.0f} mL",
                f"{volume_ml:.0f} mL",
                "look at the mask and extract the brain again",
                (row.case,),
                str(row.brain_mask),
            )
        )
    return brain if brain.any() else None


def _same_volume(case: str, volumes: list[tuple[Path, Float[np.ndarray, "x y z"], Grid]]) -> list[Finding]:
    """Tell two modalities of one scan that are the same volume."""
    seen: dict[str, Path] = {}
    findings = []
    for path, data, _ in volumes:
        key = content_hash(data)
        if key in seen:
            findings.append(
                Finding(
                    "warning",
                    "duplicates",
                    "another volume for each modality",
                    f"the voxels of {seen[key].name}",
                    "name the right file in the table",
                    (case,),
                    str(path),
                )
            )
        seen.setdefault(key, path)
    return findings
