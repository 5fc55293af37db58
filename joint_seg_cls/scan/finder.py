"""Finding the scan files of a folder; used by all commands.

Hidden files (``._scan.nii.gz`` of macOS, ``.partial-…`` of a killed process), broken links and the outputs of
``jsc predict`` are skipped and counted in a remark. Case is ignored: ``scan.NII.GZ`` is a scan.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls.errors import CohortError, shortened
from joint_seg_cls.scan.prediction_record import prediction_record

#: Suffixes of scans and masks.
NIFTI = (".nii", ".nii.gz")
#: Suffixes of the volumes that `jsc predict` writes beside ``<id>.json``.
OUTPUTS = ("_lesions", "_lesion-probability", "_disagreement", "_location-map", "_grad-cam")
#: Text that `jsc predict` writes into the header of a volume.
MADE_HERE = b"joint_seg_cls"
_FOREIGN = frozenset({"__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information"})
#: Offsets of the free text in NIfTI-1 and NIfTI-2 headers, and its length.
_DESCRIPTIONS, _DESCRIPTION = (148, 240), 80
_CHUNK = 1 << 20
#: Number of examples in a message.
_MOST = 10


@final
@dataclass(frozen=True)
class Remark:
    """A remark for the user; remarks with the same ``what`` are grouped, ``about`` names the item."""

    what: str
    about: str


def lines(remarks: Iterable[Remark], *, everyone: Sequence[str] = ()) -> Iterator[str]:
    """Return one line for all remarks of one kind: what, how many, and the first names.

    Args:
        remarks: in the order of output.
        everyone: names of all scans; a remark about all of them is shortened to ``all``.
    """
    remarks = list(remarks)
    for what in dict.fromkeys(remark.what for remark in remarks):
        about = [remark.about for remark in remarks if remark.what == what]
        more = f" and {len(about) - _MOST} more" if len(about) > _MOST else ""
        named = "all" if everyone and about == list(everyone) else ", ".join(about[:_MOST]) + more
        yield f"{what} ({len(about)}): {named}"


@final
@dataclass(frozen=True)
class ScanFiles:
    """Scan files of a folder.

    Attributes:
        names: the NIfTI files, as paths relative to the folder with ``/``, in natural order.
        missing: broken links.
        remarks: about skipped files, including ``missing``.
    """

    names: list[str]
    missing: list[str]
    remarks: list[Remark]


def scan_files(folder: Path, *, below: bool = True, remedy: str = "correct path=") -> ScanFiles:
    """Return the NIfTI files of ``folder``.

    Args:
        below: whether to include subfolders.
        remedy: what to do if the folder does not exist.

    Raises:
        CohortError: the folder does not exist, or part of it cannot be read.
    """
    names, missing, remarks = [], [], []
    ours = _Outputs(folder)
    for name, is_hidden in _walk(folder, below=below, remedy=remedy):
        if not is_nifti(name):
            continue
        if is_hidden:
            remarks.append(Remark("hidden NIfTI files, skipped", name))
        elif (readable := name.encode("utf-8", "replace").decode()) != name:
            remarks.append(Remark("NIfTI files whose names are not UTF-8 text, skipped (rename them)", readable))
        elif (folder / name).exists() and not (folder / name).is_file():
            remarks.append(Remark("pipes and devices, skipped", name))
        elif not (folder / name).is_file():
            missing.append(name)
            remarks.append(Remark("broken links (fetch the files first)", name))
        elif ours.holds(name):
            remarks.append(Remark("outputs of jsc predict, skipped", name))
        else:
            names.append(name)
    return ScanFiles(names, missing, remarks)


def walk(folder: Path) -> list[str]:
    """Return all files below ``folder`` that are not hidden, following links, in natural order.

    Raises:
        CohortError: the folder does not exist, or part of it cannot be read.
    """
    return [name for name, is_hidden in _walk(folder, below=True, remedy="correct path=") if not is_hidden]


def is_nifti(name: str) -> bool:
    """Return whether a file name has the suffix of a NIfTI file, ignoring case."""
    return name.lower().endswith(NIFTI)


def stem(name: str) -> str:
    """Return a file name without ``.nii`` or ``.nii.gz``, ignoring case."""
    return re.sub(r"\.nii(\.gz)?$", "", name, flags=re.IGNORECASE)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``P2`` before ``P10``."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(part), part) if re.fullmatch("[0-9]+", part) else (1, 0, part) for part in parts]


def stored_twice(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the ``names`` that duplicate another one, such as ``.nii`` and ``.nii.gz`` with the same content."""
    first: dict[str, str] = {}
    again = {}
    for name in names:
        other = first.setdefault(stem(name), name)
        if other != name and _same_content(folder / other, folder / name):
            again[name] = other
    return again


@final
class _Outputs:
    """Recognises outputs of `jsc predict` by their suffix and by their record or header."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[Path, bool] = {}

    def holds(self, name: str) -> bool:
        """Return whether `jsc predict` wrote the file; a user's own ``scan_lesions.nii.gz`` does not count."""
        path = self._folder / name
        if not path.name.endswith(tuple(f"{end}.nii.gz" for end in OUTPUTS)):
            return False
        scan = re.sub(f"({'|'.join(OUTPUTS)})$", "", stem(path.name))
        record = path.with_name(f"{scan}.json")
        if record not in self._records:
            self._records[record] = prediction_record(record) is not None
        return self._records[record] or _made_here(path)


def _made_here(path: Path) -> bool:
    """Return whether the header has this program's mark, which is written before the record."""
    try:
        with gzip.open(path) as file:
            header = file.read(max(_DESCRIPTIONS) + _DESCRIPTION)
    except (OSError, EOFError, zlib.error):
        return False
    return any(header[start : start + _DESCRIPTION].rstrip(b"\x00") == MADE_HERE for start in _DESCRIPTIONS)


def _same_content(first: Path, second: Path) -> bool:
    try:
        with _opened(first) as one, _opened(second) as other:
            while (chunk := one.read(_CHUNK)) == other.read(_CHUNK):
                if not chunk:
                    return True
    except (OSError, EOFError, zlib.error):
        pass
    return False


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _walk(folder: Path, *, below: bool, remedy: str) -> list[tuple[str, bool]]:
    """Return all files and whether each is hidden; hidden folders are skipped."""
    try:
        found = None if folder.is_dir() else "a file" if folder.is_file() else "no such folder"
    except OSError as error:  # a name invalid on this file system
        found = str(error.strerror)
    if found is not None:
        raise CohortError(shortened(folder), expected="a folder of scans", found=found, remedy=remedy)
    files_found = []
    passed: dict[str, tuple[Path, ...]] = {}  # real folders on the way to each folder
    for here, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        way = (*passed.pop(here, ()), Path(here).resolve())
        inner = {name: Path(here, name) for name in folders if below and not _foreign(name)}
        # links that lead back to a folder on the way would be followed forever
        folders[:] = [
            name for name, path in inner.items() if not any(each.is_relative_to(path.resolve()) for each in way)
        ]
        passed |= {str(inner[name]): way for name in folders}
        relative = Path(here).relative_to(folder)
        files_found += [((relative / name).as_posix(), _foreign(name)) for name in files]
    return sorted(files_found, key=lambda file: natural(file[0]))


def _foreign(name: str) -> bool:
    return name.startswith(".") or name in _FOREIGN


def _refuse(error: OSError) -> None:
    raise CohortError(
        error.filename, expected="a readable folder", found=str(error.strerror), remedy="change its permissions"
    ) from error
