"""The file of a NIfTI volume: plain or gzip-compressed, and whether it is as long as its header declares."""

import gzip
import io
import zlib
from pathlib import Path
from typing import NoReturn

from joint_seg_cls.errors import ScanError, reason_of

_GZIP = b"\x1f\x8b"
#: Maximum compression factor of Deflate.
_LARGEST_RATIO = 1032
_CHUNK = 1 << 20
#: Header size of NIfTI-1 and NIfTI-2, little- and big-endian.
NIFTI_STARTS = tuple(size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big"))
#: Files found in place of a scan: their first bytes, what they are, and the remedy.
_STAND_INS = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the scan", "fetch the scan with git lfs pull"),
    (
        b"/annex/objects/",
        "a git-annex pointer instead of the scan",
        "fetch the scan with datalad get or git annex get",
    ),
    (b"<!doctype", "a web page", "download the scan again"),
    (b"<html", "a web page", "download the scan again"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
)
#: Exceptions raised by reading a damaged file.
DAMAGED = (OSError, EOFError, zlib.error)


def refuse(path: Path, found: str, remedy: str, expected: str = "a NIfTI file (.nii or .nii.gz)") -> NoReturn:
    """Raise a :class:`ScanError` about ``path``."""
    raise ScanError(path, expected=expected, found=found, remedy=remedy)


def refuse_damaged(path: Path, error: Exception) -> NoReturn:
    """Raise a :class:`ScanError` with the reader's message."""
    found = f"a damaged file or another format ({reason_of(error, 120)})"
    refuse(path, found, "copy or export the file again", "a readable NIfTI file")


def open_content(path: Path) -> io.BufferedIOBase:
    """Open a volume's file, decompressed.

    Raises:
        ScanError: the file is missing or is something else; the suffix contradicts the content.
    """
    if not path.is_file():
        if path.is_symlink() and not path.exists():
            refuse(path, "a broken link", "fetch the file (datalad get) or correct the link")
        found = "a folder" if path.is_dir() else "a pipe or device" if path.exists() else "no such file"
        refuse(path, found, "correct the path")
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        refuse_damaged(path, error)
    if not start:
        refuse(path, "an empty file", "copy or export the file again")
    for mark, found, remedy in _STAND_INS:
        if start.lower().startswith(mark.lower()):
            refuse(path, found, remedy)
    is_compressed, name = start.startswith(_GZIP), path.name
    if is_compressed and name.lower().endswith(".nii"):
        refuse(path, "a gzip-compressed file without the suffix .gz", f"rename it to {name}.gz")
    if not is_compressed and name.lower().endswith(".gz"):
        if start.startswith(NIFTI_STARTS):
            refuse(path, "an uncompressed NIfTI file with the suffix .gz", f"rename it to {name[:-3]}")
        refuse(path, "a file that is not gzip-compressed", "copy or export the file again")
    return gzip.open(path) if is_compressed else path.open("rb")


def require_bytes(path: Path, offset: int, count: int, claim: str) -> None:
    """Refuse a file that ends before its last voxel, without reading it into memory.

    Args:
        offset: byte of the decompressed content at which the voxels begin.
        count: number of bytes of the voxels.
        claim: what the header declares, for the message.

    Raises:
        ScanError: the content is too short or damaged.
    """
    size, needed = path.stat().st_size, offset + count
    with path.open("rb") as file:
        is_compressed = file.read(2) == _GZIP
        file.seek(max(size - 4, 0))
        stated = int.from_bytes(file.read(4), "little")  # size of the last member modulo 2^32
    held = size
    if is_compressed:
        if needed > size * _LARGEST_RATIO:
            held = size * _LARGEST_RATIO
        else:
            held = needed if needed <= stated else _count(path, needed)
    if held < needed:
        found = f"a header that declares {claim} ({count} bytes) in a file with at most {max(held - offset, 0)}"
        refuse(path, found, "copy or export the file again", "a complete NIfTI file")


def _count(path: Path, most: int) -> int:
    """Return the size of the decompressed content, up to ``most``."""
    held = 0
    try:
        with gzip.open(path) as file:
            while held < most and (chunk := file.read(_CHUNK)):
                held += len(chunk)
    except DAMAGED as error:
        refuse_damaged(path, error)
    return held


def require_end(path: Path, file: io.BufferedIOBase) -> None:
    """Read past the last voxel to verify the checksum of a compressed file.

    Raises:
        ScanError: the checksum is wrong.
    """
    try:
        file.read(_CHUNK)
    except DAMAGED as error:
        if "Not a gzipped file" not in str(error):  # trailing bytes after the compressed data are harmless
            refuse_damaged(path, error)
