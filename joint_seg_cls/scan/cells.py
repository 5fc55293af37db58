"""Text of a user in files that other programs open: spreadsheets execute formulas, Markdown viewers render HTML.

Every table that this package writes and reads as CSV or TSV goes through this module. A spreadsheet takes a cell that
begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end for a formula [1]; such text, in cells and in the names of
columns, is written with an apostrophe in front, which spreadsheets take as the mark of text. Numbers stay as they
are, ``-1.5`` and ``-01`` included. :func:`read_written` takes the apostrophe away again, so the text is the same after
a round trip. A column of paths gets ``./`` in front instead (:func:`path_cell`): that names the same file for every
program.

[1] https://owasp.org/www-community/attacks/CSV_Injection
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from joint_seg_cls.whole_file import write_text

#: What separates the columns, by the table's suffix.
SEPARATORS = {".tsv": "\t", ".csv": ","}
#: The beginning of a formula, in full width too; apostrophes in front belong to it, so that reading is unambiguous.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
#: What Markdown would render: its own marks anywhere, those of a list at the beginning, and addresses.
_MARKS = re.compile(r"[\\`*_\[\]|~$#]|^[-+]|(?<=www)\.|:(?=//)")
#: The folders of an absolute path; a name in it may hold spaces.
_FOLDERS = re.compile(r"(?<![\w.:/<])/(?:[^/;,:\n]*[^/;,:\s]/)+")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def cell(text: str) -> str:
    """Return ``text`` as it stands in a table: with an apostrophe in front where it would begin a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def plain(text: str) -> str:
    """Return the text of a table's cell; the inverse of :func:`cell`."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def path_cell(path: str) -> str:
    """Return a relative path as it stands in a table: with ``./`` in front where it would begin a formula."""
    return f"./{path}" if _FORMULA.match(path) else path


def table_text(table: pd.DataFrame, separator: str = ",") -> str:
    """Return a table as text whose cells no spreadsheet executes; numbers have six digits."""
    safe = table.apply(_safe).rename(columns=lambda name: cell(str(name)))
    return safe.to_csv(None, sep=separator, index=False, float_format="%.6g", lineterminator="\n")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write :func:`table_text` to a ``.csv`` or ``.tsv`` file, whole or not at all."""
    write_text(path, table_text(table, SEPARATORS[path.suffix]))


def read_written(source: Any, separator: str = ",", **settings: Any) -> pd.DataFrame:
    """Return the cells of a table as text, those that :func:`write_table` marked as they were before.

    Args:
        source: a path or an open file.
        separator: what separates the columns.
        settings: further ones for :func:`pandas.read_csv`.
    """
    table = pd.read_csv(source, sep=separator, dtype=str, keep_default_na=False, **settings)
    return table.rename(columns=lambda name: plain(str(name))).map(plain, na_action="ignore")


def markdown(text: Any) -> str:
    """Return a text on one line that Markdown shows as it is: no HTML, link, emphasis, code or column begins in it."""
    line = " ".join(str(text).split())
    escaped = _MARKS.sub(lambda found: f"\\{found.group()}", line)
    return "".join(_HTML.get(letter, letter) for letter in escaped)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are Markdown already; all columns but the first stand to the right."""
    lines = [heads, ["---", *(["---:"] * (len(heads) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def without_folders(text: str) -> str:
    """Return a text whose absolute paths are cut to the names of the files: a folder may name a person or a machine."""
    return _FOLDERS.sub("", text)


def shown(value: Any) -> Any:
    """Return a value as a page of HTML shows it: a text without folders; pictures and all else as they are."""
    is_text = isinstance(value, str) and not value.startswith("data:")
    return without_folders(value) if is_text else value


def _safe(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    values = [cell(value) if isinstance(value, str) else value for value in column]
    return pd.Series(values, index=column.index, dtype=object)
