"""Checks of a scan's header: missing or contradictory orientation, unusual sizes."""

import nibabel as nib
import numpy as np

from joint_seg_cls.audit.finding import Check, Finding
from joint_seg_cls.scan import VolumeHeader

#: Usual ranges of voxel size and field of view (millimetres).
_VOXEL_MM = (0.2, 8.0)
_FIELD_MM = (90.0, 400.0)
#: Minimum volume spanned by the axis directions: 0.99 at a shear of 8 degrees.
_CELL = 0.99


def check_header(case: str, head: VolumeHeader) -> list[Finding]:
    """Check the header of a scan."""

    def warn(check: Check, expected: str, found: str, remedy: str) -> Finding:
        return Finding("warning", check, expected, found, remedy, (case,), str(head.path))

    grid = head.grid
    findings = [warn("orientations", *odd) for odd in _orientation(head)]
    spacing, field = sorted(grid.spacing_mm), np.multiply(grid.shape, grid.spacing_mm)
    if not (_VOXEL_MM[0] <= spacing[0] and spacing[-1] <= _VOXEL_MM[1]):
        findings.append(
            warn(
                "grids",
                f"voxels of {_VOXEL_MM[0]:g} to {_VOXEL_MM[1]:g} mm",
                f"voxels of {' x '.join(f'{mm:.3g}' for mm in grid.spacing_mm)} mm",
                "check that the unit of the header is the millimetre",
            )
        )
    elif not (_FIELD_MM[0] <= field.min() and field.max() <= _FIELD_MM[1]):
        findings.append(
            warn(
                "grids",
                f"a field of view of {_FIELD_MM[0]:g} to {_FIELD_MM[1]:g} mm along each axis",
                f"a field of view of {' x '.join(f'{mm:.0f}' for mm in field)} mm",
                "check that the whole brain was scanned and the voxel size is right",
            )
        )
    return findings


def _orientation(head: VolumeHeader) -> list[tuple[str, str, str]]:
    """Return what was expected, what was found, and the remedy."""
    odd = []
    if head.fault:
        odd.append(("a regular header", head.fault, "convert the scan again from its source"))
    if head.form == "voxel sizes":
        found = "the header has neither sform nor qform, so left and right are uncertain"
        odd.append(("a header with an orientation", found, "convert the scan again from its source"))
    axes = head.grid.affine[:3, :3] / head.grid.spacing_mm
    if abs(np.linalg.det(axes)) < _CELL:
        found = "the axes of the affine are not at right angles, so lengths and volumes are distorted"
        odd.append(("an affine without shear", found, "resample the scan to a grid with right angles"))
    if head.other is None:
        return odd
    apart_mm = head.grid.distance_mm(head.other)
    if apart_mm > max(1.0, min(head.grid.spacing_mm)):
        codes = [nib.aff2axcodes(grid.affine) for grid in (head.grid, head.other)]
        turned = f", axes {''.join(codes[0])} and {''.join(codes[1])}" if codes[0] != codes[1] else ""
        found = f"sform and qform place the scan's corners up to {apart_mm:.1f} mm apart{turned}"
        remedy = "find out which is correct and write it to both (this program uses the sform)"
        odd.append(("equal sform and qform", found, remedy))
    return odd
