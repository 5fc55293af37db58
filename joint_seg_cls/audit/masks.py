"""Checks of the lesion masks of a scan: grid, values, location and size."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Num

from joint_seg_cls.audit.finding import Finding, from_refusal
from joint_seg_cls.audit.flips import Mirrored
from joint_seg_cls.errors import ScanError, examples
from joint_seg_cls.scan import Grid, LesionValue, MaskGeometry, VolumeHeader, binary, place_mask, read_volume, reorient

#: Fraction of lesion voxels allowed outside the brain, whose border has another source.
OUTSIDE_NOTE, OUTSIDE_WARNING = 0.005, 0.05
#: Maximum fraction of the brain filled by lesions.
_LARGEST_SHARE = 0.3


class Masks(NamedTuple):
    """The readable masks of a scan, on its grid; ``lesions`` are the voxels marked by all raters."""

    lesions: Bool[np.ndarray, "x y z"] | None
    findings: list[Finding]


def read_masks(
    case: str,
    paths: Mapping[str, Path],
    scan: VolumeHeader | None,
    lesion_value: LesionValue = None,
    mask_geometry: MaskGeometry = "header",
) -> Masks:
    """Read all raters' masks of the scan with header ``scan``; every fault becomes a finding."""
    findings: list[Finding] = []
    masks = []
    for path in paths.values():
        mask = _read(case, path, scan, lesion_value, mask_geometry, findings)
        if mask is not None:
            masks.append(mask)
    is_complete = len(masks) == len(paths) and masks
    return Masks(np.logical_and.reduce(masks) if is_complete else None, findings)


def _read(
    case: str,
    path: Path,
    scan: VolumeHeader | None,
    lesion_value: LesionValue,
    mask_geometry: MaskGeometry,
    findings: list[Finding],
) -> Bool[np.ndarray, "x y z"] | None:
    try:
        data, head = read_volume(path, remedy="export one mask file for each rater")
    except ScanError as error:
        findings.append(from_refusal(error, "files", case))
        return None
    own = None
    if scan is not None:
        try:
            own = place_mask(head, scan.grid, geometry=mask_geometry, other=scan.other)
        except ScanError as error:
            mirrored = _mirrored_grid(case, path, head.grid, scan.grid)
            findings.append(mirrored or from_refusal(error, "grids", case))
    try:
        mask = binary(path, data, lesion_value=lesion_value)
    except ScanError as error:
        findings.append(from_refusal(error, "mask values", case))
        return None
    findings += _rounded(case, path, data) + _uncounted(case, path, data, lesion_value)
    return None if own is None or scan is None else reorient(mask, own, scan.grid)


def check_place(
    case: str, path: Path, lesions: Bool[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
) -> list[Finding]:
    """Compare the lesions with the brain."""
    count, size = int(lesions.sum()), int(brain.sum())
    findings = []
    if count == 0 or size == 0:
        return findings
    outside = float((lesions & ~brain).sum()) / count
    findings += check_outside(case, path, outside)
    if count / size > _LARGEST_SHARE:
        findings.append(
            Finding(
                "warning",
                "mask values",
                f"lesions in less than {100 * _LARGEST_SHARE:.0f} % of the brain",
                f"lesions in {100 * count / size:.0f} % of the brain",
                "check whether it is a brain mask, or inverted",
                (case,),
                str(path),
            )
        )
    return findings


def check_outside(case: str, path: Path, outside: float) -> list[Finding]:
    """Report the fraction of lesion voxels outside the brain."""
    if outside <= OUTSIDE_NOTE:
        return []
    return [
        Finding(
            "warning" if outside > OUTSIDE_WARNING else "note",
            "masks outside the brain",
            "lesions inside the brain",
            f"{100 * outside:.1f} % of the lesion voxels outside",
            "check the picture: the mask may be shifted or belong to another scan, or the brain mask may be too small",
            (case,),
            str(path),
        )
    ]


def check_mirrored(case: str, path: Path, evidence: list[Mirrored]) -> list[Finding]:
    """Report masks that fit the mirrored scan better."""
    return [
        Finding(
            "warning",
            "left-right mismatch" if one.axis == "left-right" else "orientations",
            "a mask on bright tissue",
            f"{one.voxels} lesion voxels {one.own:+.1f} sd from the tissue's median, their {one.axis} mirror image "
            f"{one.mirror:+.1f} sd: the mask fits the mirrored scan clearly better",
            "check the picture and compare the headers of scan and mask with their source",
            (case,),
            str(path),
        )
        for one in evidence
        if one.is_suspicious
    ]


def _rounded(case: str, path: Path, data: Num[np.ndarray, "x y z"]) -> list[Finding]:
    values = np.unique(data)
    odd = values[values != np.round(values)]
    if not odd.size:
        return []
    return [
        Finding(
            "note",
            "mask values",
            "integers",
            f"values such as {odd[-1]:.7g}, rounded to {np.round(odd[-1]):g}",
            "no action needed",
            (case,),
            str(path),
        )
    ]


def _uncounted(case: str, path: Path, data: Num[np.ndarray, "x y z"], lesion_value: LesionValue) -> list[Finding]:
    """Report values of a mask that are not in ``lesion_value``."""
    values = np.unique(np.round(data))
    others = [] if lesion_value is None else values[~np.isin(values, (0, *np.atleast_1d(lesion_value)))].tolist()
    if not others:
        return []
    found = f"also the values {examples([f'{value:.0f}' for value in others], 6)}"
    remedy = "no action needed if they are not lesions: they count as background"
    return [Finding("note", "mask values", "only the values of lesion_value=", found, remedy, (case,), str(path))]


def _mirrored_grid(case: str, path: Path, own: Grid, grid: Grid) -> Finding | None:
    """Report a mask whose header places it on the other side: mirrored in space, or with one axis reversed."""
    across = int(np.abs(own.affine[0, :3]).argmax())
    turned = own.affine.copy()
    turned[:3, across] *= -1
    for affine in (np.diag([-1.0, 1.0, 1.0, 1.0]) @ own.affine, turned):
        if Grid(own.shape, affine).like(grid).distance_mm(grid) <= max(0.5, min(grid.spacing_mm) / 2):
            return Finding(
                "error",
                "left-right mismatch",
                f"a mask with the scan's orientation ({grid.axes})",
                f"the affine of its mirror image ({own.axes}): the headers disagree about left and right",
                "find out which header is correct, and write the mask with the scan's header",
                (case,),
                str(path),
            )
    return None
