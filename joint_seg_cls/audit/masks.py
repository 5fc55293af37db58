"""The lesion masks of one scan: their grid, their values, their place and their size."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Num

from joint_seg_cls.audit.finding import Finding, from_refusal
from joint_seg_cls.audit.flips import Mirrored
from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan import Grid, LesionValue, MaskGeometry, VolumeHeader, binary, place_mask, read_volume, reorient

#: Share of lesion voxels that may lie outside the brain: its border is drawn by another hand.
OUTSIDE_NOTE, OUTSIDE_WARNING = 0.005, 0.05
#: No patient's lesions fill more of the brain.
_LARGEST_SHARE = 0.3


class Masks(NamedTuple):
    """What could be read of a scan's masks, on its grid; ``lesions`` are the voxels that all raters marked."""

    lesions: Bool[np.ndarray, "x y z"] | None
    findings: list[Finding]


def read_masks(
    case: str,
    paths: Mapping[str, Path],
    scan: VolumeHeader | None,
    lesion_value: LesionValue = None,
    mask_geometry: MaskGeometry = "header",
) -> Masks:
    """Read every rater's mask of the scan whose header is ``scan``; each thing that is wrong is a finding."""
    findings: list[Finding] = []
    masks = []
    for path in paths.values():
        mask = _read(case, path, scan, lesion_value, mask_geometry, findings)
        if mask is not None:
            masks.append(mask)
    whole = len(masks) == len(paths) and masks
    return Masks(np.logical_and.reduce(masks) if whole else None, findings)


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
    findings += told_outside(case, path, outside)
    if count / size > _LARGEST_SHARE:
        findings.append(
            Finding(
                "warning",
                "mask values",
                f"lesions in less than {100 * _LARGEST_SHARE:.0f} % of the brain",
                f"lesions in {100 * count / size:.0f} % of the brain",
                "check whether it is the brain's mask, or inverted",
                (case,),
                str(path),
            )
        )
    return findings


def told_outside(case: str, path: Path, outside: float) -> list[Finding]:
    """Tell the share of lesion voxels that lie outside the brain."""
    if outside <= OUTSIDE_NOTE:
        return []
    return [
        Finding(
            "warning" if outside > OUTSIDE_WARNING else "note",
            "masks outside the brain",
            "lesions inside the brain",
            f"{100 * outside:.1f} % of the lesion voxels outside",
            "look at the picture: the mask may be shifted or belong to another scan, or the brain mask be too small",
            (case,),
            str(path),
        )
    ]


def told_mirrored(case: str, path: Path, evidence: list[Mirrored]) -> list[Finding]:
    """Tell where a mask fits the mirrored scan better."""
    return [
        Finding(
            "warning",
            "left-right mismatch" if one.axis == "left-right" else "orientations",
            "a mask that lies on bright tissue",
            f"{one.voxels} lesion voxels {one.own:+.1f} sd from the tissue's median, their {one.axis} mirror image "
            f"{one.mirror:+.1f} sd: the mask fits the mirrored scan clearly better",
            "look at the picture and compare the headers of scan and mask with their source",
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
            "whole numbers",
            f"values such as {odd[-1]:.7g}, rounded to {np.round(odd[-1]):g}",
            "nothing needs to be done",
            (case,),
            str(path),
        )
    ]


def _uncounted(case: str, path: Path, data: Num[np.ndarray, "x y z"], lesion_value: LesionValue) -> list[Finding]:
    """Name the values of a mask that ``lesion_value`` does not list."""
    values = np.unique(np.round(data))
    others = [] if lesion_value is None else values[~np.isin(values, (0, *np.atleast_1d(lesion_value)))].tolist()
    if not others:
        return []
    found = f"the values {', '.join(f'{value:.0f}' for value in others[:6])}{' ...' if len(others) > 6 else ''} too"
    remedy = "nothing needs to be done if they mark no lesions: they count as background"
    return [Finding("note", "mask values", "the values of lesion_value= alone", found, remedy, (case,), str(path))]


def _mirrored_grid(case: str, path: Path, own: Grid, grid: Grid) -> Finding | None:
    """Tell a mask whose header puts it on the other side: mirrored in space, or with one axis' sign turned."""
    across = int(np.abs(own.affine[0, :3]).argmax())
    turned = own.affine.copy()
    turned[:3, across] *= -1
    for affine in (np.diag([-1.0, 1.0, 1.0, 1.0]) @ own.affine, turned):
        if Grid(own.shape, affine).like(grid).distance_mm(grid) <= max(0.5, min(grid.spacing_mm) / 2):
            return Finding(
                "error",
                "left-right mismatch",
                f"a mask with the scan's orientation ({grid.axes})",
                f"the affine of its mirror image ({own.axes}): the headers disagree on which side is left",
                "find out which header is right, and write the mask again with the scan's",
                (case,),
                str(path),
            )
    return None
