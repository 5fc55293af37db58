"""Origin of files in a folder that a user names: a file that this program did not write is never replaced.

A page, PDF or record of this program has a mark at a fixed place. Tables and pictures have none: the record of their
command lists them with their checksums, and a file that is not listed, or was changed since, is of other origin.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from joint_seg_cls.atomic_write import read_json
from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.checksums import file_sha256

#: Entry of a record: the SHA-256 of each file that the command wrote. The record of an unfinished command has none.
FILES = "files"
#: The generator among the first elements of a page; pages of 0.1.0 have a footer instead.
_PAGE = re.compile(
    rb'<!DOCTYPE html>\s*<html lang="en">\s*<head>\s*(?:<meta [^>]*>\s*)*?'
    rb'<meta name="generator" content="joint_seg_cls '
)
_FOOTER = re.compile(rb"<footer>jsc (?:check|report), joint_seg_cls [^<]*</footer>\s*</body>\s*</html>\s*\Z")
#: The creator at the beginning of a PDF's last object, which contains the document's properties.
_PDF_CREATOR = re.compile(
    rb"\sendobj\s+\d+ 0 obj\s+<< /Creator \(joint_seg_cls .{,9999}?>>\s+endobj\s+xref\s", re.DOTALL
)
_VERSION = re.compile(r"\d+\.\d+")


def require_own_files(paths: Iterable[Path], remedy: str) -> None:
    """Refuse to write over pages, PDFs and records of other origin, before any work.

    Raises:
        CohortError: one is of other origin.
    """
    for path in paths:
        if path.exists() and not _is_ours(path):
            found = "a file of other origin that the output would replace"
            raise _foreign(path, f"no file, or a {_kind(path)} of this program", found, remedy)


def require_listed_files(record: Path, entries: Collection[str], paths: Iterable[Path], remedy: str) -> None:
    """Refuse to write over files that the record of an earlier command does not list, or that were changed since.

    Where an earlier command did not finish, any of the files may be its own.

    Args:
        record: the record; the command writes it first without :data:`FILES`, and last with them.
        entries: entries of such a record.
        paths: files beside or below the record that the command would write or delete.
        remedy: of the error.

    Raises:
        CohortError: there is one, or the record is of other origin.
    """
    content = read_json(record)
    if record.exists() and not set(entries) <= set(content):
        found = "a file of other origin that the output would replace"
        raise _foreign(record, "no file, or a record of this program", found, remedy)
    if content and not isinstance(content.get(FILES), dict):
        return
    listed = content.get(FILES, {})
    for path in paths:
        if path.exists() and not _is_listed(path, path.relative_to(record.parent).as_posix(), listed):
            found = "a file of other origin, or a changed one, that the output would replace"
            raise _foreign(path, "no file, or the file that an earlier command wrote", found, remedy)


def checksums_of(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files, by their path below ``folder``."""
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths}


def _is_listed(path: Path, name: str, listed: Mapping[str, str]) -> bool:
    return path.is_file() and listed.get(name) == file_sha256(path)


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix == ".json":
        return _VERSION.match(str(read_json(path).get("made_with"))) is not None
    content = path.read_bytes()
    if path.suffix == ".pdf":
        return _PDF_CREATOR.search(content) is not None
    return bool(_PAGE.match(content) or _FOOTER.search(content))


def _kind(path: Path) -> str:
    return "record" if path.suffix == ".json" else "page"


def _foreign(path: Path, expected: str, found: str, remedy: str) -> CohortError:
    return CohortError(path, expected=expected, found=found, remedy=remedy)
