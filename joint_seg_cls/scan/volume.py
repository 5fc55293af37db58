"""Reading and writing single volumes: a scan with its header."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped
from nibabel.arrayproxy import ArrayProxy

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan.container import DAMAGED, open_content, refuse_damaged, require_end
from joint_seg_cls.scan.grid import Grid
from joint_seg_cls.scan.header import VolumeHeader, read_header


@final
@dataclass(frozen=True, eq=False)
class Scan:
    """A volume as acquired: values in the scan's own axes, its grid, and the header inherited by outputs.

    ``head`` is the validated header; None for a scan that was not read from a file.
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
    """Read the voxels of one 3-D NIfTI file as float32, values unchecked, and its header; ``remedy`` is for 4-D files.

    Raises:
        ScanError: the header is invalid (:func:`~joint_seg_cls.scan.header.read_header`); the voxels are damaged.
    """
    head = read_header(path, remedy=remedy)
    header, shape = head.header, head.grid.shape
    slope, inter = header.get_slope_inter()
    layout = (shape, header.get_data_dtype(), header.get_data_offset())
    scaled = () if slope is None else (slope, inter)
    try:
        with open_content(head.path) as file, np.errstate(over="ignore", invalid="ignore"):
            # values beyond float32 become infinite and are refused by require_contrast
            data = np.asarray(ArrayProxy(file, (*layout, *scaled), mmap=False), dtype=np.float32)
            require_end(head.path, file)
    except (*DAMAGED, ValueError) as error:
        refuse_damaged(head.path, error)
    except MemoryError as error:
        raise ScanError(
            path,
            expected="a volume that fits in memory",
            found=f"{' x '.join(map(str, shape))} voxels",
            remedy="use fewer workers=, or a machine with more memory",
        ) from error
    return data, head


def require_contrast(path: str | Path, data: Float[np.ndarray, "x y z"]) -> None:
    """Refuse a volume that is not finite or constant.

    Raises:
        ScanError: a value is NaN or infinite; all values are equal.
    """
    if not np.isfinite(data).all():
        count = int((~np.isfinite(data)).sum())
        raise ScanError(
            path,
            expected="finite values",
            found=f"{count} NaN or infinite voxels",
            remedy="repair the export or set these voxels to 0",
        )
    if data.min() == data.max():
        raise ScanError(
            path,
            expected="a scan with contrast",
            found=f"the constant value {data.flat[0]:g}",
            remedy="export the scan again or remove it from the table",
        )


def write_volume(path: str | Path, array: Shaped[np.ndarray, "x y z"], like: Scan, intent: str = "none") -> None:
    """Write ``array`` on the grid of ``like``, with its shape, affine, sform, qform, their codes and units. Atomic.

    Free text and extensions of the header, which may identify the patient, are not copied.
    """
    path = Path(path)
    header = like.header.copy()
    header.extensions.clear()
    header["aux_file"], header["intent_name"] = b"", b""
    if "db_name" in header:  # in NIfTI-1 only
        header["db_name"] = b""
    header.set_data_shape(array.shape)
    header["pixdim"] = like.header["pixdim"]  # setting the shape resets entries after the third
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"] = 0, 0
    header["descrip"] = b"joint_seg_cls"
    header.set_intent(intent)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(array, header.get_best_affine(), header)
    with atomic_file(path) as partial:
        nib.save(image, partial)
