"""Origin of pages and records in a folder that a user names: those of other programs are never replaced."""

from collections.abc import Iterable
from pathlib import Path

from joint_seg_cls.errors import CohortError

#: Part of every page, PDF and record of this program.
_MARKS = (b"joint_seg_cls", b'"made_with"')


def require_own_files(paths: Iterable[Path], remedy: str) -> None:
    """Refuse to write over pages, PDFs and records of other origin, before any work.

    Raises:
        CohortError: one is of other origin.
    """
    for path in paths:
        if path.exists() and not _is_ours(path):
            raise CohortError(
                path,
                expected=f"no file, or a {'record' if path.suffix == '.json' else 'page'} of this program",
                found="a file of other origin that the output would replace",
                remedy=remedy,
            )


def _is_ours(path: Path) -> bool:
    return path.is_file() and any(mark in path.read_bytes() for mark in _MARKS)
