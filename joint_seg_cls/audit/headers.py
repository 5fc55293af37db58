"""Where a scan's voxels lie, as its header says: orientation that is missing, contradictory, or no head's size."""

from pathlib import Path

import nibabel as nib
import numpy as np

from joint_seg_cls.audit.finding import Finding
from joint_seg_cls.scan import Grid

#: Voxels and fields of view of brain scans lie within these (millimetres).
_VOXEL_MM = (0.2, 8.0)
_FIELD_MM = (90.0, 400.0)


def check_header(case: str, path: Path, grid: Grid) -> list[Finding]:
    """Look at one scan's header."""
    findings = []
    header = nib.load(path).header
    if isinstance(header, nib.Nifti1Header):
        findings = _codes(case, path, header, grid)
    spacing = sorted(grid.spacing_mm)
    field = sorted(n * mm for n, mm in zip(grid.shape, grid.spacing_mm, strict=True))
    if not (_VOXEL_MM[0] <= spacing[0] and spacing[-1] <= _VOXEL_MM[1]):
        findings.append(
            Finding(
                "warning",
                "grids",
                f"voxels of {_VOXEL_MM[0]:g} to {_VOXEL_MM[1]:g} mm",
                f"{' x '.join(f'{mm:.3g}' for mm in grid.spacing_mm)} mm",
                "find out whether the header's unit is the millimetre",
                (case,),
                str(path),
            )
        )
    elif not (_FIELD_MM[0] <= field[0] and field[-1] <= _FIELD_MM[1]):
        findings.append(
            Finding(
                "warning",
                "grids",
                f"a field of view of {_FIELD_MM[0]:g} to {_FIELD_MM[1]:g} mm along each axis",
                f"{' x '.join(f'{n * mm:.0f}' for n, mm in zip(grid.shape, grid.spacing_mm, strict=True))} mm",
                "look whether the whole brain was scanned and the voxel size is right",
                (case,),
                str(path),
            )
        )
    return findings


def _codes(case: str, path: Path, header: nib.Nifti1Header, grid: Grid) -> list[Finding]:
    qform, sform = header.get_qform(coded=True)[0], header.get_sform(coded=True)[0]
    if qform is None and sform is None:
        return [
            Finding(
                "warning",
                "orientations",
                "a header that says which side is left",
                "neither sform nor qform: left and right are a guess",
                "convert the scan again from its source",
                (case,),
                str(path),
            )
        ]
    if qform is None or sform is None:
        return []
    apart_mm = Grid(grid.shape, np.asarray(sform)).distance_mm(Grid(grid.shape, np.asarray(qform)))
    if apart_mm <= max(1.0, min(grid.spacing_mm)):
        return []
    codes = (nib.aff2axcodes(sform), nib.aff2axcodes(qform))
    turned = f", axes {''.join(codes[0])} and {''.join(codes[1])}" if codes[0] != codes[1] else ""
    return [
        Finding(
            "warning",
            "orientations",
            "an sform and a qform that agree",
            f"corners {apart_mm:.1f} mm apart{turned}: programs will disagree on where this scan lies",
            "find out which is right and write it to both (this program reads the sform)",
            (case,),
            str(path),
        )
    ]
