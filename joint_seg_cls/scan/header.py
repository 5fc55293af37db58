"""Validation of NIfTI headers before any work: what a header declares is possible and present in the file.

A header is read once, by :func:`read_header`. The affine is the sform if its code is above 0, else the qform
if its code is above 0, else the voxel sizes. Codes not defined by NIfTI count as 0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import nibabel as nib
import numpy as np

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan.container import DAMAGED, NIFTI_STARTS, open_content, refuse, refuse_damaged, require_bytes
from joint_seg_cls.scan.grid import Grid

#: Range of voxel sizes in millimetres.
VOXEL_MM = (0.01, 100.0)
#: Maximum field of view along an axis and maximum distance from the origin, in millimetres.
_LARGEST_FIELD_MM, _FARTHEST_MM = 1000.0, 1e5
#: Maximum number of voxels: 1000 x 1000 x 1000.
_MOST_VOXELS = 10**9
#: Maximum size of a header with its extensions, in bytes.
_LARGEST_HEADER = 1 << 28
#: Minimum volume spanned by the axis directions: 1 if orthogonal, 0.8 at a shear of 37 degrees.
_LEAST_CELL = 0.8
#: Unit of length by code; 0 and undefined codes mean millimetres.
_MM = {1: 1000.0, 3: 0.001}
_UNITS = {1: "metres", 3: "microns"}
_MAGIC = {348: b"n+1", 540: b"n+2"}
_LAST_XFORM_CODE = 5
_SINGULAR_CELL = 0.01
_AFFINE = "an invertible affine"
_VOXELS = "an orthogonal grid with voxels of 0.01 to 100 mm"
_REPAIR = "convert the scan again from its source"

Form = Literal["sform", "qform", "voxel sizes"]


@final
@dataclass(frozen=True, eq=False)
class VolumeHeader:
    """A valid header.

    Attributes:
        header: as stored; inherited by outputs.
        grid: shape and affine in millimetres.
        form: source of the affine.
        other: if the sform is used, the grid of the qform if its code is above 0 and it is usable.
        fault: an irregularity that does not change the grid, as a sentence; empty if there is none.
    """

    path: Path
    header: nib.Nifti1Header
    grid: Grid
    form: Form
    other: Grid | None
    fault: str


def read_header(path: str | Path, *, remedy: str = "extract the one volume to be used") -> VolumeHeader:
    """Read a NIfTI-1 or NIfTI-2 header and check what it declares.

    Args:
        remedy: what to do if the file is not a single 3-D volume.

    Raises:
        ScanError: there is no NIfTI file; dimensions, type, scaling, voxel size or affine are impossible for a scan;
            the file is shorter than the header declares.
    """
    path = Path(path)
    header = _parsed(path)
    shape = _shape(path, header, remedy)
    offset, count = _data_offset(path, header), shape[0] * shape[1] * shape[2] * _itemsize(path, header)
    _check_scaling(path, header)
    unit = int(header["xyzt_units"]) & 7
    with np.errstate(all="ignore"):  # infinite and NaN results are refused later
        form, affine, other, fault = _affines(path, header, _MM.get(unit, 1.0))
    if unit > 3:
        fault = f"its unit of length has the undefined code {unit}, interpreted as millimetres"
    grid = Grid(shape, affine)
    _check_grid(path, grid, form, unit)
    require_bytes(path, offset, count, f"{' x '.join(map(str, shape))} voxels")
    return VolumeHeader(path, header, grid, form, None if other is None else Grid(shape, other), fault)


def _parsed(path: Path) -> nib.Nifti1Header:
    try:
        with open_content(path) as file:
            block = file.read(540)
    except DAMAGED as error:
        refuse_damaged(path, error)
    order: Literal["<", ">"] = "<" if block[:4] in NIFTI_STARTS[::2] else ">"
    size = int.from_bytes(block[:4], "little" if order == "<" else "big")
    magic = block[344:347] if size == 348 else block[4:7]
    if size not in _MAGIC or len(block) < size:
        refuse(
            path, "a damaged file or another format", "convert it to .nii.gz, or copy it again", "a readable NIfTI file"
        )
    if magic in (b"ni1", b"ni2"):
        refuse(path, "the header of a .hdr/.img pair", "convert the pair to one .nii.gz file")
    if magic != _MAGIC[size]:
        found = f"a damaged file or another format (magic {magic!r})"
        refuse(path, found, "convert it to .nii.gz, or copy it again", "a readable NIfTI file")
    kind = nib.Nifti1Header if size == 348 else nib.Nifti2Header
    header = kind(block[:size], endianness=order, check=False)
    for name in ("qform_code", "sform_code"):
        if not 0 <= int(header[name]) <= _LAST_XFORM_CODE:
            header[name] = 0
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    return header


def _shape(path: Path, header: nib.Nifti1Header, remedy: str) -> tuple[int, int, int]:
    """Return the three dimensions; further axes of length 1 are dropped."""
    dims = [int(side) for side in header["dim"]]
    shape = dims[1 : dims[0] + 1]
    if not 1 <= dims[0] <= 7 or min(shape) < 1:
        refuse(path, f"{dims[0]}, shape {tuple(shape)}", _REPAIR, "1 to 7 dimensions of at least one voxel")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 2:
        refuse(path, f"shape {tuple(dims[1 : dims[0] + 1])}", remedy, "a 3-D volume")
    x, y, z = shape
    if x * y * z > _MOST_VOXELS:
        refuse(path, f"a header that declares {x} x {y} x {z} voxels", _REPAIR, f"at most {_MOST_VOXELS:.0e} voxels")
    return x, y, z


def _itemsize(path: Path, header: nib.Nifti1Header) -> int:
    try:
        kind = np.dtype(header.get_data_dtype())
    except KeyError as error:
        raise ScanError(
            path,
            expected="a data type that NIfTI defines",
            found=f"data code {int(header['datatype'])}",
            remedy=_REPAIR,
        ) from error
    if kind.kind not in "iuf":
        found = {"c": "complex numbers", "V": "colours" if kind.names else f"type {int(header['datatype'])}"}[kind.kind]
        refuse(path, found, "export it as a grey-scale image", "one real number per voxel")
    if int(header["bitpix"]) not in (0, 8 * kind.itemsize):
        found = f"{int(header['bitpix'])} bits for {kind.name}"
        refuse(path, found, _REPAIR, f"a data type of {8 * kind.itemsize} bits per voxel")
    return kind.itemsize


def _data_offset(path: Path, header: nib.Nifti1Header) -> int:
    offset, least = float(header["vox_offset"]), header.single_vox_offset
    if offset == 0:
        return least
    if not (least <= offset <= _LARGEST_HEADER and offset == int(offset)):
        refuse(path, f"vox offset {offset:g}", _REPAIR, f"voxel data at byte {least} or later")
    return int(offset)


def _check_scaling(path: Path, header: nib.Nifti1Header) -> None:
    """Refuse an infinite slope or intercept; a slope of 0 or NaN means unscaled values."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    is_scaled = slope != 0 and not np.isnan(slope)
    if np.isinf(slope) or (is_scaled and not np.isfinite(inter)):
        refuse(path, f"slope {slope:g} and intercept {inter:g}", _REPAIR, "values with a finite scale")


def _affines(path: Path, header: nib.Nifti1Header, scale: float) -> tuple[Form, np.ndarray, np.ndarray | None, str]:
    """Return the source of the affine, the affine in millimetres, the unused qform's affine, and its fault."""
    to_mm = np.diag([scale, scale, scale, 1.0])
    if int(header["sform_code"]) > 0:
        sform = to_mm @ np.asarray(header.get_sform(), dtype=np.float64)
        if int(header["qform_code"]) == 0:
            return "sform", sform, None, ""
        try:
            return "sform", sform, to_mm @ _qform(path, header), ""
        except ScanError as error:
            return "sform", sform, None, f"its qform is damaged ({error.found}), so the sform is used"
    if int(header["qform_code"]) > 0:
        return "qform", to_mm @ _qform(path, header), None, ""
    _check_voxel_sizes(path, header)
    return "voxel sizes", to_mm @ np.asarray(header.get_base_affine(), dtype=np.float64), None, ""


def _qform(path: Path, header: nib.Nifti1Header) -> np.ndarray:
    _check_voxel_sizes(path, header)
    quaternion = np.array([float(header[f"quatern_{name}"]) for name in "bcd"])
    origin = np.array([float(header[f"qoffset_{name}"]) for name in "xyz"])
    if not (np.isfinite(quaternion).all() and np.isfinite(origin).all()):
        refuse(path, "a qform with NaN or infinite numbers", _REPAIR, _VOXELS)
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except ValueError as error:
        norm = float(np.linalg.norm(quaternion))
        raise ScanError(
            path, expected=_VOXELS, found=f"a quaternion of length {norm:.4g} instead of at most 1", remedy=_REPAIR
        ) from error


def _check_voxel_sizes(path: Path, header: nib.Nifti1Header) -> None:
    sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        refuse(path, f"voxel sizes of {' x '.join(f'{size:g}' for size in sizes)}", _REPAIR, _VOXELS)


def _check_grid(path: Path, grid: Grid, form: Form, unit: int) -> None:
    axes = grid.affine[:3, :3]
    if not np.isfinite(grid.affine).all():
        refuse(path, f"NaN or infinite numbers in its {form}", _REPAIR, _AFFINE)
    with np.errstate(all="ignore"):
        spacing = np.linalg.norm(axes, axis=0)
    sizes = f"{' x '.join(f'{size:.3g}' for size in spacing)} mm"
    if not ((spacing >= VOXEL_MM[0]).all() and (spacing <= VOXEL_MM[1]).all()):
        if unit in _UNITS:
            found, remedy = f"{sizes}, since its header declares {_UNITS[unit]}", "correct the header's xyzt_units"
            refuse(path, found, f"{remedy} (2 for millimetres)", _VOXELS)
        refuse(path, f"voxels of {sizes}", "correct the header's voxel size, or " + _REPAIR, _VOXELS)
    field = spacing * grid.shape
    if field.max() > _LARGEST_FIELD_MM:
        found = f"{' x '.join(f'{side:.0f}' for side in field)} mm"
        expected = f"a field of view of at most {_LARGEST_FIELD_MM:.0f} mm along each axis"
        refuse(path, found, "correct the header's voxel size, or " + _REPAIR, expected)
    cell = float(abs(np.linalg.det(axes / spacing)))
    if cell < _LEAST_CELL:
        if cell < _SINGULAR_CELL:
            refuse(path, f"axes of its {form} that are coplanar", _REPAIR, _AFFINE)
        remedy = "resample the scan to a grid with right angles, or " + _REPAIR
        refuse(path, f"axes of its {form} that are sheared against each other", remedy, _VOXELS)
    if np.abs(grid.affine[:3, 3]).max() > _FARTHEST_MM:
        refuse(path, f"an origin {np.abs(grid.affine[:3, 3]).max():.3g} mm away", _REPAIR, _VOXELS)
