"""Walking a folder of scans: every NIfTI file once, in a natural order, whatever else lies about."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.cohort import NIFTI
from joint_seg_cls.scan.readers.reader import Remark

_FOREIGN = frozenset({"__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information"})


def nifti_files(folder: Path) -> tuple[list[str], list[Remark]]:
    """Return the NIfTI files below ``folder``, as paths relative to it with ``/``, and links that lead nowhere."""
    files, remarks = [], []
    for name in walk(folder):
        if not name.lower().endswith(NIFTI):
            continue
        if (folder / name).is_file():
            files.append(name)
        else:
            remarks.append(Remark("links to files that are not there (get them first)", name))
    return files, remarks


def walk(folder: Path) -> list[str]:
    """Return every file below ``folder`` that is not hidden, links followed, in natural order.

    Raises:
        CohortError: there is no such folder, or a part of it cannot be read.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "no such folder"
        raise CohortError(folder, expected="a folder of scans", found=found, remedy="correct path=")
    return sorted(_walk(folder), key=natural)


def _walk(folder: Path) -> Iterator[str]:
    for here, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        place = Path(here).resolve()
        # a link to a folder that holds it would be followed forever
        folders[:] = [
            name for name in folders if not _foreign(name) and not place.is_relative_to(Path(here, name).resolve())
        ]
        relative = Path(here).relative_to(folder)
        yield from ((relative / name).as_posix() for name in files if not _foreign(name))


def _foreign(name: str) -> bool:
    return name.startswith(".") or name in _FOREIGN


def _refuse(error: OSError) -> None:
    raise CohortError(
        error.filename, expected="a folder that can be read", found=str(error.strerror), remedy="change its permissions"
    ) from error


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``P2`` before ``P10``."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def examples(names: list[str], most: int = 3) -> str:
    """Return a few of ``names``, for a sentence."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
