"""The reader of all tables given by users.

The text is UTF-8, with or without a byte-order mark. The column separator (tab, comma or semicolon) is detected from
the header, whatever the suffix. Cells stay text: ``007``, ``1e5`` and ``None`` are unchanged. Missing-value marks
(``n/a``, ``NA``, ``NaN``) become empty cells, except in the column of subjects.
"""

import csv
import io
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from joint_seg_cls.errors import CohortError, reason_of, shortened
from joint_seg_cls.scan.cells import SEPARATORS, plain

#: Possible columns of the subject; the first one present is used.
SUBJECT_COLUMNS = ("participant_id", "participant", "subject", "subject_id", "patient_id", "patient", "sub", "id")
#: Columns whose cells are always names.
_NAMING = frozenset(SUBJECT_COLUMNS) | {"case"}
#: Column names that identify a header.
_KNOWN = _NAMING | {"flair", "disease", "session", "session_id", "fold", "split"}
_MARKS = "\t,;"
_MISSING = ("n/a", "N/A", "NA", "nan", "NaN")
#: First words of pointer files, and the command that fetches the file.
_POINTERS = {"version https://git-lfs": "git lfs pull", "/annex/objects/": "git annex get"}


def read_table(
    path: Path, *, subject: str | None = None, kind: str = "a table", remedy: str = "correct the path"
) -> pd.DataFrame:
    """Read a table, see :func:`table_text` and :func:`parse_table`."""
    return parse_table(path, table_text(path, kind=kind, remedy=remedy), subject=subject)


def table_text(path: Path, *, kind: str = "a table", remedy: str = "correct the path") -> str:
    """Return the text of a table.

    Args:
        kind: what is expected, for messages.
        remedy: what to do if the file is missing.

    Raises:
        CohortError: the file is missing, unreadable, empty, or not UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        found, remedy = _unreadable(path, error, remedy)
        raise CohortError(shortened(path), expected=kind, found=found, remedy=remedy) from error
    command = next((command for start, command in _POINTERS.items() if text.startswith(start)), None)
    if command is not None:
        found = "a pointer to a file that was not fetched"
        raise CohortError(path, expected=kind, found=found, remedy=f"fetch it with `{command}`")
    if "\x00" in text:
        remedy = "save it as tab-separated UTF-8 text again"
        raise CohortError(path, expected=kind, found="binary data (null bytes)", remedy=remedy)
    if not text.strip():
        raise CohortError(path, expected="a table with a header", found="an empty file", remedy="save it again")
    return text


def parse_table(path: Path, text: str, *, subject: str | None = None) -> pd.DataFrame:
    """Return the cells of a table as stripped text; missing values are empty, and empty rows are dropped.

    The index numbers the rows from 0, counting dropped rows (:func:`line_of`).

    Args:
        subject: the column of subjects, if it is not one of :data:`SUBJECT_COLUMNS`.

    Raises:
        CohortError: the rows do not fit the header, two columns have one name, or a quote is not closed.
    """
    separator = _separator(path, text, subject)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be truncated
            settings = {"sep": separator, "dtype": str, "keep_default_na": False}
            header = pd.read_csv(io.StringIO(text), header=None, nrows=1, **settings)
            table = pd.read_csv(io.StringIO(text), index_col=False, **settings)
    except pd.errors.ParserWarning as error:
        raise CohortError(
            path,
            expected="as many cells in each row as in the header",
            found="longer rows",
            remedy="name every column, and quote cells that contain the separator",
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        found = shortened(reason_of(error))
        raise CohortError(
            path, expected="a table with a header", found=found, remedy="save it as UTF-8 text again"
        ) from error
    names = [plain(str(name).strip()) for name in header.iloc[0]] if len(header) else []
    _refuse_repeated_columns(path, names)
    table.columns = table.columns.str.strip().map(plain)
    cells = table.fillna("").apply(lambda column: column.str.strip()).map(plain)
    _refuse_swallowed_rows(path, cells, separator)
    people = {subject} if subject is not None else {name for name in cells if name.casefold() in _NAMING}
    others = [name for name in cells if name not in people]
    cells[others] = cells[others].replace(dict.fromkeys(_MISSING, ""))
    for name in people:
        cells[name] = cells[name].replace({"n/a": ""})  # missing value in BIDS
    return cells[(cells != "").any(axis=1)]


def line_of(path: Path, number: object) -> str:
    """Return the file and line number of a row, for messages."""
    return f"{path}, line {number + 2}"  # pyright: ignore[reportOperatorIssue] - the index has integers


def require_columns(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        CohortError: one of ``names`` is missing.
    """
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise CohortError(
            path,
            expected=f"the columns {', '.join(names)}",
            found=shortened(", ".join(map(str, table.columns))),
            remedy=f"add {', '.join(missing)}",
        )


def one_spelling(name: str) -> str:
    """Return a name in Unicode normal form, such as ``ü`` as one character."""
    return unicodedata.normalize("NFC", name)


def spellings(name: str) -> Iterable[str]:
    """Return a name in all Unicode normal forms, because file systems store ``ü`` differently."""
    return dict.fromkeys((name, one_spelling(name), unicodedata.normalize("NFD", name)))


def user_path(text: str | Path) -> Path:
    """Return a path with ``~`` and ``~name`` replaced by the home folder.

    Raises:
        CohortError: the home folder does not exist.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        found = "a user without a home folder"
        raise CohortError(shortened(text), expected="a path", found=found, remedy="write the full path") from error


def _unreadable(path: Path, error: Exception, remedy: str) -> tuple[str, str]:
    """Return what was found instead of a table, and the remedy."""
    if isinstance(error, UnicodeDecodeError):
        return "a file that is not UTF-8 text", "save it as tab-separated UTF-8 text"
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            return "a broken link", "fetch the file (git annex get), or correct the link"
        return "no such file", remedy
    if isinstance(error, IsADirectoryError):
        return "a folder", remedy
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return reason or type(error).__name__, remedy


def _separator(path: Path, text: str, subject: str | None) -> str:
    """Return the separator that gives the most columns, preferring headers with known column names."""
    own = SEPARATORS.get(path.suffix.lower(), "\t")
    headers = {mark: _header(text, mark) for mark in dict.fromkeys((own, *_MARKS))}
    known = _KNOWN if subject is None else _KNOWN | {subject.casefold()}
    named = {mark: cells for mark, cells in headers.items() if known & {cell.strip().casefold() for cell in cells}}
    return max(named or headers, key=lambda mark: len(headers[mark]))


def _header(text: str, mark: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text.lstrip("\r\n"), newline=None), delimiter=mark), [])
    except csv.Error:
        return []


def _refuse_repeated_columns(path: Path, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    if repeated:
        raise CohortError(
            path,
            expected="unique column names",
            found=f"{shortened(repeated[0])} {names.count(repeated[0])} times",
            remedy="rename or delete one of them",
        )


def _refuse_swallowed_rows(path: Path, cells: pd.DataFrame, separator: str) -> None:
    """Refuse a cell that contains a whole row, which means an unclosed quote."""
    if len(cells.columns) < 2:
        return
    for name in cells:
        for number, text in cells[name].items():
            lines = text.splitlines()[1:] if "\n" in text or "\r" in text else []
            if any(line.count(separator) >= len(cells.columns) - 1 for line in lines):
                raise CohortError(
                    line_of(path, number),
                    expected=f"one row per line in the column {name}",
                    found="a cell that contains the next rows",
                    remedy="close the quotation mark in this line",
                )
