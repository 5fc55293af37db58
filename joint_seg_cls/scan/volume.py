"""Reading and writing single volumes: a scan with its header, a mask on the scan's grid."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Shaped
from nibabel.filebasedimages import ImageFileError

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan.grid import Grid, reorient

#: A mask's value may differ from a whole number by this much (masks resampled by other tools hold 1.0000153).
MASK_ROUNDING = 1e-3


@final
@dataclass(frozen=True, eq=False)
class Scan:
    """A volume as acquired: values in the scan's own axes, its grid, and the header that outputs inherit."""

    path: Path
    data: Float[np.ndarray, "x y z"]
    grid: Grid
    header: nib.Nifti1Header


def read_scan(path: str | Path) -> Scan:
    """Read one 3-D NIfTI volume as float32.

    Raises:
        ScanError: the file is missing, damaged or no NIfTI; it is not 3-D; a value is NaN or infinite; all values are
            equal; the affine is singular.
    """
    path = Path(path)
    image = _load(path)
    data, grid = _volume(image, path, remedy="extract the one volume to be used")
    if not np.isfinite(data).all():
        count = int((~np.isfinite(data)).sum())
        raise ScanError(
            path,
            expected="finite values",
            found=f"{count} voxels that are NaN or infinite",
            remedy="repair the export or set these voxels to 0",
        )
    if data.min() == data.max():
        raise ScanError(
            path,
            expected="a scan with contrast",
            found=f"the constant value {data.flat[0]:g}",
            remedy="export the scan again or leave it out of the table",
        )
    return Scan(path, data, grid, image.header.copy())


def read_mask(path: str | Path, grid: Grid) -> Bool[np.ndarray, "x y z"]:
    """Read a binary mask that belongs to a scan on ``grid``, in that scan's axes.

    A mask whose axes run otherwise than the scan's but whose voxels lie at the same places is turned, not refused.

    Raises:
        ScanError: as :func:`read_scan` (but a constant mask is fine); the grid lies elsewhere by more than half a voxel
            (at least 0.5 mm); a value is neither 0 nor 1 within 0.001.
    """
    path = Path(path)
    data, own = _volume(_load(path), path, remedy="export one mask file for each rater")
    tolerance_mm = max(0.5, min(grid.spacing_mm) / 2)
    if (apart_mm := own.like(grid).distance_mm(grid)) > tolerance_mm:
        found = (
            f"shape {own.like(grid).shape} in the scan's axes"
            if np.isinf(apart_mm)
            else f"corners up to {apart_mm:.2f} mm away"
        )
        raise ScanError(
            path,
            expected=f"the grid of its scan (shape {grid.shape}, within {tolerance_mm:.2f} mm)",
            found=found,
            remedy="resample the mask onto its scan with nearest neighbours",
        )
    rounded = np.round(data)
    if not (np.abs(data - rounded) <= MASK_ROUNDING).all() or not np.isin(np.unique(rounded), (0, 1)).all():
        odd = np.unique(data)[:6]
        raise ScanError(
            path,
            expected="a mask of 0 and 1",
            found=f"the values {', '.join(f'{v:g}' for v in odd)}{' ...' if odd.size == 6 else ''}",
            remedy="write lesion voxels as 1 and all others as 0",
        )
    return reorient(rounded.astype(bool), own, grid)


def write_volume(path: str | Path, array: Shaped[np.ndarray, "x y z"], like: Scan, intent: str = "none") -> None:
    """Write ``array`` in ``like``'s grid: shape, affine, sform, qform and units are the scan's own. Atomic."""
    path = Path(path)
    header = like.header.copy()
    header.set_data_shape(array.shape)
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"] = 0, 0
    header["descrip"] = b"joint_seg_cls"
    header.set_intent(intent)
    image = nib.Nifti1Image(array, like.grid.affine, header)
    partial = path.with_name(f".{path.name}.partial.nii.gz")
    nib.save(image, partial)
    partial.replace(path)


def _load(path: Path) -> nib.Nifti1Image:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise ScanError(path, expected="a NIfTI file", found=found, remedy="correct the path")
    try:
        image = nib.load(path)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if not isinstance(image, nib.Nifti1Image):
        kind = type(image).__name__
        raise ScanError(path, expected="a NIfTI file", found=kind, remedy="convert it to .nii.gz")
    return image


def _volume(image: nib.Nifti1Image, path: Path, *, remedy: str) -> tuple[Float[np.ndarray, "x y z"], Grid]:
    """Return the voxels and their grid, axes of length 1 behind the third dropped."""
    shape = tuple(int(side) for side in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 2:
        raise ScanError(path, expected="a 3-D volume", found=f"shape {tuple(image.shape)}", remedy=remedy)
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ScanError(
            path,
            expected="an affine that can be inverted",
            found=f"{affine[:3].tolist()}",
            remedy="repair the header's sform or qform",
        )
    try:
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error
    x, y, z = shape
    return data, Grid((x, y, z), affine)


def _unreadable(path: Path, error: Exception) -> ScanError:
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return ScanError(
        path,
        expected="a readable NIfTI file",
        found=f"a damaged or foreign one ({reason})",
        remedy="copy or export the file again",
    )
