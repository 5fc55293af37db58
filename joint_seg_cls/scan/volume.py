"""Reading and writing single volumes: a scan with its header, a mask on the scan's grid."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Shaped
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from joint_seg_cls.errors import ConfigError, ScanError
from joint_seg_cls.scan.grid import Grid, reorient
from joint_seg_cls.whole_file import whole_file

#: A mask's value may differ from a whole number by this much (masks resampled by other tools hold 1.0000153).
MASK_ROUNDING = 1e-3
#: How programs that write bytes mark a mask's voxels.
_BYTE = 255
#: A mask with more values than this is a map of something else.
_MOST_VALUES = 20
#: Millimetres in the units of length that a NIfTI header may name; files that name none mean millimetres.
_MM = {"meter": 1000.0, "micron": 0.001}
#: What reading a damaged file raises.
_DAMAGED = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


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
    require_contrast(path, data)
    return Scan(path, data, grid, image.header.copy())


def read_volume(path: str | Path, *, remedy: str) -> tuple[Float[np.ndarray, "x y z"], Grid]:
    """Read the voxels of one 3-D NIfTI file as float32, whatever they are, and their grid; ``remedy`` is for 4-D files.

    Raises:
        ScanError: the file is missing, damaged or no NIfTI; it is not 3-D; the affine is singular.
    """
    path = Path(path)
    return _volume(_load(path), path, remedy=remedy)


def require_contrast(path: str | Path, data: Float[np.ndarray, "x y z"]) -> None:
    """Refuse values that no scan has.

    Raises:
        ScanError: a value is NaN or infinite; all values are equal.
    """
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


#: The value, or the values, that mark lesions in a mask; None where masks hold 0 and 1.
LesionValue = int | float | Sequence[int | float] | None


def require_lesion_value(value: object) -> None:
    """Refuse what marks no voxel of a mask, or its background.

    Raises:
        ConfigError: it is no number other than 0, nor a list of such.
    """
    each = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if value is None or (each and all(type(one) in (int, float) and one for one in each)):
        return
    remedy = "write the number that marks lesions, as in lesion_value=255 or lesion_value=[1,2]"
    raise ConfigError("lesion_value", expected="numbers other than 0", found=str(value), remedy=remedy)


def read_mask(
    path: str | Path, grid: Grid, *, of: Literal["lesion", "brain"] = "lesion", lesion_value: LesionValue = None
) -> Bool[np.ndarray, "x y z"]:
    """Read a binary mask ``of`` lesions or of the brain that belongs to a scan on ``grid``, in that scan's axes.

    A mask whose axes run otherwise than the scan's but whose voxels lie at the same places is turned, not refused.

    Raises:
        ScanError: as :func:`read_volume`, :func:`require_grid_of` and :func:`binary`.
    """
    data, own = read_volume(path, remedy="export one mask file for each rater")
    require_grid_of(path, own, grid)
    return reorient(binary(path, data, of=of, lesion_value=lesion_value), own, grid)


def require_grid_of(path: str | Path, own: Grid, grid: Grid) -> None:
    """Refuse a mask on ``own`` that does not lie where the scan on ``grid`` does.

    Raises:
        ScanError: the shapes differ, or corners lie more than half a voxel (at least 0.5 mm) apart.
    """
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


def binary(
    path: str | Path,
    data: Float[np.ndarray, "x y z"],
    *,
    of: Literal["lesion", "brain"] = "lesion",
    lesion_value: LesionValue = None,
) -> Bool[np.ndarray, "x y z"]:
    """Return where a mask is set: where its values, rounded within 0.001, are 1, or ``lesion_value``.

    With a ``lesion_value``, the values that it names count and no others. A brain mask of 0 and 255 is binary; of a
    lesion mask, 255 may be one label of several, so the user is asked.

    Raises:
        ScanError: without a ``lesion_value``, a value is neither 0 nor 1; with one, a value is not a whole number, or
            there are values but none of those asked for.
    """
    whole = np.round(data)
    values = np.unique(whole)
    is_whole = bool((np.abs(data - whole) <= MASK_ROUNDING).all())
    is_byte = of == "brain" and _BYTE in values and set(values.tolist()) <= {0, _BYTE}
    asked_for = (_BYTE if is_byte else 1) if lesion_value is None else lesion_value
    wanted = np.atleast_1d(np.asarray(asked_for, dtype=np.float64))
    others = values[~np.isin(values, (0, *wanted))]
    if not is_whole or (others.size and (lesion_value is None or not np.isin(values, wanted).any())):
        odd = values if is_whole else np.unique(data)
        asked = "" if lesion_value is None else f" (lesion_value={_listed(wanted)})"
        remedy = f"write {of} voxels as 1 and all others as 0"
        every = np.union1d(values[values != 0], [] if lesion_value is None else wanted)
        raise ScanError(
            path,
            expected=f"a mask of 0 and {' and '.join(f'{v:g}' for v in wanted)}{asked}",
            found=f"the values {', '.join(f'{v:g}' for v in odd[:6])}{' ...' if odd.size > 6 else ''}",
            remedy=f"if all of them mark lesions, say so with lesion_value={_listed(every)}; if only some do, list "
            f"those; if none does, {remedy}"
            if is_whole and of == "lesion" and every.size <= _MOST_VALUES
            else remedy,
        )
    return np.isin(whole, wanted)


def _listed(values: np.ndarray) -> str:
    text = ",".join(f"{value:.0f}" if value == np.round(value) else f"{value:g}" for value in values)
    return text if values.size == 1 else f"[{text}]"


def write_volume(path: str | Path, array: Shaped[np.ndarray, "x y z"], like: Scan, intent: str = "none") -> None:
    """Write ``array`` in ``like``'s grid: shape, affine, sform, qform, their codes and units are the scan's. Atomic.

    Free text and extensions of the scan's header, which may name the patient, are not carried over.
    """
    path = Path(path)
    header = like.header.copy()
    header.extensions.clear()
    header["aux_file"], header["intent_name"] = b"", b""
    if "db_name" in header:  # NIfTI-1 has it, NIfTI-2 has not
        header["db_name"] = b""
    header.set_data_shape(array.shape)
    header["pixdim"] = like.header["pixdim"]  # setting the shape forgets those behind the third
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"] = 0, 0
    header["descrip"] = b"joint_seg_cls"
    header.set_intent(intent)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(array, header.get_best_affine(), header)
    with whole_file(path) as partial:
        nib.save(image, partial)


def _load(path: Path) -> nib.Nifti1Image:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise ScanError(path, expected="a NIfTI file", found=found, remedy="correct the path")
    try:
        image = nib.load(path)
    except _DAMAGED as error:
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
    scale = _MM.get(str(image.header.get_xyzt_units()[0]), 1.0)
    affine = np.diag([scale, scale, scale, 1.0]) @ np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        found, remedy = f"{affine[:3].tolist()}", "repair the header's sform or qform"
        raise ScanError(path, expected="an affine that can be inverted", found=found, remedy=remedy)
    kind = np.dtype(image.get_data_dtype())
    if kind.names is not None or kind.kind == "c":
        found = "colours" if kind.names is not None else "complex numbers"
        raise ScanError(path, expected="one real number a voxel", found=found, remedy="export it as a grey-scale image")
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused by its name
            data = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    except MemoryError as error:
        found = f"a header that tells of {' x '.join(map(str, shape))} voxels"
        remedy = "export it again; if it is that large, use fewer workers="
        raise ScanError(path, expected="a volume that memory holds", found=found, remedy=remedy) from error
    x, y, z = shape
    return data, Grid((x, y, z), affine)


def _unreadable(path: Path, error: Exception) -> ScanError:
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    found = f"a damaged or foreign one ({reason})"
    return ScanError(path, expected="a readable NIfTI file", found=found, remedy="copy or export the file again")
