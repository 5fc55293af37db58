"""User text in files that other programs open: spreadsheets execute formulas, Markdown viewers render HTML.

All CSV and TSV tables are written and read through this module. A spreadsheet interprets a cell that begins with ``=``,
``+``, ``-``, ``@``, a tab or a line break as a formula [1]. Such text, in cells and column names, is written with a
leading apostrophe, which marks text in spreadsheets. Numbers are unchanged, including ``-1.5`` and ``-01``.
:func:`read_written` removes the apostrophe, so that text survives a round trip. A path gets a leading ``./`` instead
(:func:`path_cell`), which names the same file in every program.

[1] https://owasp.org/www-community/attacks/CSV_Injection
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from joint_seg_cls.atomic_write import write_text

#: Column separator by file suffix.
SEPARATORS = {".tsv": "\t", ".csv": ","}
#: Start of a formula, also in full-width characters; leading apostrophes are included so that reading is unambiguous.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
#: Text that Markdown would render: markup anywhere, list markers at the beginning, and URLs.
_MARKS = re.compile(r"[\\`*_\[\]|~$#]|^[-+]|(?<=www)\.|:(?=//)")
#: Folders of an absolute path; their names may contain spaces.
_FOLDERS = re.compile(r"(?<![\w.:/<])/(?:[^/;,:\n]*[^/;,:\s]/)+")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def cell(text: str) -> str:
    """Return ``text`` as written to a table: with a leading apostrophe if it would be a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def plain(text: str) -> str:
    """Return the original text of a table cell; the inverse of :func:`cell`."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def path_cell(path: str) -> str:
    """Return a relative path as written to a table: with a leading ``./`` if it would be a formula."""
    return f"./{path}" if _FORMULA.match(path) else path


def table_text(table: pd.DataFrame, separator: str = ",") -> str:
    """Return a table as text without formulas; numbers have six digits."""
    safe = table.apply(_safe).rename(columns=lambda name: cell(str(name)))
    return safe.to_csv(None, sep=separator, index=False, float_format="%.6g", lineterminator="\n")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write :func:`table_text` to a ``.csv`` or ``.tsv`` file. Atomic."""
    write_text(path, table_text(table, SEPARATORS[path.suffix]))


def read_written(source: Any, separator: str = ",", **settings: Any) -> pd.DataFrame:
    """Return the cells of a table as text, without the marks of :func:`write_table`.

    Args:
        source: a path or an open file.
    """
    table = pd.read_csv(source, sep=separator, dtype=str, keep_default_na=False, **settings)
    return table.rename(columns=lambda name: plain(str(name))).map(plain, na_action="ignore")


def markdown(text: Any) -> str:
    """Return a text on one line, escaped so that Markdown renders no HTML, link, emphasis, code or column."""
    line = " ".join(str(text).split())
    escaped = _MARKS.sub(lambda found: f"\\{found.group()}", line)
    return "".join(_HTML.get(letter, letter) for letter in escaped)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table from Markdown cells; all columns but the first are right-aligned."""
    lines = [heads, ["---", *(["---:"] * (len(heads) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def without_folders(text: str) -> str:
    """Return a text with absolute paths reduced to file names, because folders may identify a person or a machine."""
    return _FOLDERS.sub("", text)


def shown(value: Any) -> Any:
    """Return a value for an HTML page: text without folders, other values unchanged."""
    is_text = isinstance(value, str) and not value.startswith("data:")
    return without_folders(value) if is_text else value


def _safe(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    values = [cell(value) if isinstance(value, str) else value for value in column]
    return pd.Series(values, index=column.index, dtype=object)
