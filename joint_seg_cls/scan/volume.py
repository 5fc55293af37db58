"""Reading and writing single volumes: a scan with its header, a mask on the scan's grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Shaped
from nibabel.arrayproxy import ArrayProxy

from joint_seg_cls.errors import ConfigError, ScanError
from joint_seg_cls.scan.container import DAMAGED, open_content, refuse_damaged, require_end
from joint_seg_cls.scan.grid import Grid, reorient
from joint_seg_cls.scan.header import VolumeHeader, read_header
from joint_seg_cls.whole_file import whole_file

#: A mask's value may differ from a whole number by this much (masks resampled by other tools hold 1.0000153).
MASK_ROUNDING = 1e-3
#: How programs that write bytes mark a mask's voxels.
_BYTE = 255
#: A mask with more values than this is a map of something else.
_MOST_VALUES = 20
#: Where a mask's voxels lie: as its own header gives it, or voxel for voxel on the scan of the same shape.
MaskGeometry = Literal["header", "scan"]
MASK_GEOMETRIES: tuple[MaskGeometry, ...] = ("header", "scan")


@final
@dataclass(frozen=True, eq=False)
class Scan:
    """A volume as acquired: values in the scan's own axes, its grid, and the header that outputs inherit.

    ``head`` is what the gate found of the header; None for a scan that was not read from a file.
    """

    path: Path
    data: Float[np.ndarray, "x y z"]
    grid: Grid
    header: nib.Nifti1Header
    head: VolumeHeader | None = None


def read_scan(path: str | Path) -> Scan:
    """Read one 3-D NIfTI volume as float32.

    Raises:
        ScanError: as :func:`read_volume`; a value is NaN or infinite; all values are equal.
    """
    data, head = read_volume(path, remedy="extract the one volume to be used")
    require_contrast(path, data)
    return Scan(head.path, data, head.grid, head.header, head)


def read_volume(path: str | Path, *, remedy: str) -> tuple[Float[np.ndarray, "x y z"], VolumeHeader]:
    """Read the voxels of one 3-D NIfTI file as float32, whatever they are, and its header; ``remedy`` is for 4-D files.

    Raises:
        ScanError: the header does not pass :func:`~joint_seg_cls.scan.header.read_header`; the voxels are damaged.
    """
    head = read_header(path, remedy=remedy)
    header, shape = head.header, head.grid.shape
    slope, inter = header.get_slope_inter()
    layout = (shape, header.get_data_dtype(), header.get_data_offset())
    scaled = () if slope is None else (slope, inter)
    try:
        with open_content(head.path) as file, np.errstate(over="ignore", invalid="ignore"):
            # what float32 cannot hold becomes infinite, which is refused where values matter
            data = np.asarray(ArrayProxy(file, (*layout, *scaled), mmap=False), dtype=np.float32)
            require_end(head.path, file)
    except (*DAMAGED, ValueError) as error:
        refuse_damaged(head.path, error)
    except MemoryError as error:
        raise ScanError(
            path,
            expected="a volume that fits into memory",
            found=f"{' x '.join(map(str, shape))} voxels",
            remedy="use fewer workers=, or a machine with more memory",
        ) from error
    return data, head


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
    path: str | Path,
    grid: Grid,
    *,
    of: Literal["lesion", "brain"] = "lesion",
    lesion_value: LesionValue = None,
    geometry: MaskGeometry = "header",
    other: Grid | None = None,
) -> Bool[np.ndarray, "x y z"]:
    """Read a binary mask ``of`` lesions or of the brain that belongs to a scan on ``grid``, in that scan's axes.

    A mask whose axes run otherwise than the scan's but whose voxels lie at the same places is turned, not refused.

    Args:
        path: the mask.
        grid: the scan's grid.
        of: what the mask marks.
        lesion_value: the value, or the values, of lesion voxels.
        geometry: whether the mask's own header holds, or the scan's.
        other: the scan's grid by the form of its header that is not used, to explain a difference.

    Raises:
        ScanError: as :func:`read_volume`, :func:`place_mask` and :func:`binary`.
    """
    data, head = read_volume(path, remedy="export one mask file for each rater")
    own = place_mask(head, grid, geometry=geometry, other=other)
    return reorient(binary(path, data, of=of, lesion_value=lesion_value), own, grid)


def place_mask(head: VolumeHeader, grid: Grid, *, geometry: MaskGeometry = "header", other: Grid | None = None) -> Grid:
    """Return the grid on which a mask lies.

    Raises:
        ScanError: it is not the grid of the scan: the shapes differ, or corners lie more than half a voxel (at least
            0.5 mm) apart.
    """
    if geometry == "scan" and head.grid.shape == grid.shape:
        return grid
    tolerance_mm = max(0.5, min(grid.spacing_mm) / 2)
    if head.grid.like(grid).distance_mm(grid) <= tolerance_mm:
        return head.grid
    found, remedy = _misplaced(head, grid, other, tolerance_mm)
    expected = f"the grid of its scan (shape {grid.shape}, within {tolerance_mm:.2f} mm)"
    raise ScanError(head.path, expected=expected, found=found, remedy=remedy)


def _misplaced(head: VolumeHeader, grid: Grid, other: Grid | None, tolerance_mm: float) -> tuple[str, str]:
    """Return how a mask lies otherwise than its scan, and what to do."""
    resample = "resample the mask onto its scan with nearest neighbours"
    take = "if it was drawn on this scan voxel for voxel, take the scan's header with mask_geometry=scan"
    own = head.grid.like(grid)
    if own.shape != grid.shape:
        return f"shape {own.shape} in the scan's axes", resample
    apart = f"corners up to {own.distance_mm(grid):.2f} mm away"
    if head.grid.shape != grid.shape:
        return apart, resample
    for whose, one, another in (("mask", head.other, grid), ("scan", head.grid, other)):
        if one is not None and another is not None and one.like(another).distance_mm(another) <= tolerance_mm:
            return f"{apart}: the two agree by the {whose}'s qform, but its sform is used", (
                f"correct the {whose}'s sform; {take}"
            )
    if head.form == "voxel sizes":
        return f"{apart}, in a header without sform and qform", f"export it again; {take}"
    return apart, f"{resample}; {take}"


def require_mask_geometry(value: object) -> MaskGeometry:
    """Return ``value`` if it is one of :data:`MASK_GEOMETRIES`.

    Raises:
        ConfigError: it is not.
    """
    for known in MASK_GEOMETRIES:
        if value == known:
            return known
    remedy = "write mask_geometry=header or mask_geometry=scan"
    raise ConfigError("mask_geometry", expected="header or scan", found=str(value), remedy=remedy)


def binary(
    path: str | Path,
    data: Float[np.ndarray, "x y z"],
    *,
    of: Literal["lesion", "brain"] = "lesion",
    lesion_value: LesionValue = None,
) -> Bool[np.ndarray, "x y z"]:
    """Return where a mask is set: where its values, rounded within 0.001, are 1, or 255 alone, or ``lesion_value``.

    With a ``lesion_value``, the values that it names count and no others.

    Raises:
        ScanError: without a ``lesion_value``, the values are not 0 and 1, nor 0 and 255; with one, a value is not a
            whole number, or there are values but none of those asked for.
    """
    whole = np.round(data)
    values = np.unique(whole)
    is_whole = bool((np.abs(data - whole) <= MASK_ROUNDING).all())
    is_byte = lesion_value is None and _BYTE in values and set(values.tolist()) <= {0, _BYTE}
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
