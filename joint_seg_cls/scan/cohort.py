"""The cohort table: one row a scan, checked before anything is computed.

Columns: ``subject``; ``session`` (optional); one column of paths a modality (``flair`` first); ``brain_mask``
(optional); ``lesion_mask``, ``lesion_mask_2``, ... (one a rater, may be empty); ``disease`` (a class name or its code,
may be empty); any further column is kept as it is. Paths are relative to the table.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import final

import pandas as pd

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.cells import SEPARATORS
from joint_seg_cls.scan.cells import read_table as read_cells
from joint_seg_cls.scan.prepared import STORE_FILES

#: Disease classes in the order of their codes: 0 is MS, 1 is NMOSD. The last is the positive class of SN, SP and AUC.
DISEASES = ("MS", "NMOSD")
#: How the names of scans and masks end.
NIFTI = (".nii", ".nii.gz")
_LESION_MASK = re.compile(r"lesion_mask(_\d+)?$")
#: Longest name of a case in bytes; file systems take 255, and outputs add their own words.
_LONGEST_NAME = 180


@final
@dataclass(frozen=True)
class CohortCase:
    """One row of the table: a scan of ``subject`` at ``session``. ``columns`` holds the free columns."""

    case: str
    subject: str
    session: str | None
    images: tuple[Path, ...]
    brain_mask: Path | None
    lesion_masks: tuple[Path, ...]
    disease: str | None
    columns: dict[str, str]


def read_cohort(
    path: str | Path, *, modalities: Sequence[str] = ("flair",), classes: Sequence[str] = DISEASES
) -> list[CohortCase]:
    """Read and check a cohort table (``.tsv`` or ``.csv``).

    Raises:
        CohortError: the table is missing, empty, or lacks a column; a row has no subject or no scan, names a file that
            does not exist, a disease outside ``classes``, or the same subject and session as another row.
    """
    path = Path(path).expanduser()
    return cohort_cases(path, read_table(path), modalities=modalities, classes=classes)


def cohort_cases(
    path: Path, table: pd.DataFrame, *, modalities: Sequence[str] = ("flair",), classes: Sequence[str] = DISEASES
) -> list[CohortCase]:
    """Check the cells of a table as :func:`read_cohort` does, as if they stood at ``path``."""
    require_columns(path, table, ["subject", *modalities])
    if table.empty:
        raise CohortError(path, expected="at least one scan", found="a table without rows", remedy="add one row a scan")
    raters = rater_columns(table)
    known = {"subject", "session", "brain_mask", "disease", *modalities, *raters}
    cases = []
    for number, row in table.iterrows():
        where = line_of(path, number)
        subject, session = str(row["subject"]), str(row.get("session", "")) or None
        images = [file_of(where, path, row, name) for name in modalities]
        masks = [file_of(where, path, row, name) for name in raters]
        cases.append(
            CohortCase(
                case=checked_case_name(where, subject, session),
                subject=subject,
                session=session,
                images=tuple(_present(where, name, file) for name, file in zip(modalities, images, strict=True)),
                brain_mask=file_of(where, path, row, "brain_mask"),
                lesion_masks=tuple(file for file in masks if file is not None),
                disease=disease_of(where, str(row.get("disease", "")), classes),
                columns={
                    str(name): str(row[name])
                    for name in table.columns
                    if name not in known and row[name] and not str(row[name]).endswith(NIFTI)
                },
            )
        )
    _refuse_repeats(path, cases)
    return cases


def read_table(path: Path) -> pd.DataFrame:
    """Return a table's cells as stripped text, empty where nothing is known."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise CohortError(path, expected="a cohort table (.tsv or .csv)", found=found, remedy="correct cohort=")
    try:
        return parse_table(path, path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise CohortError(
            path, expected="a table with a header", found=str(error), remedy="save it as UTF-8 text again"
        ) from error


def parse_table(path: Path, text: str, separator: str | None = None) -> pd.DataFrame:
    """Return the cells of the ``text`` of a table as :func:`read_table` does, empty rows left out.

    The index numbers the rows from 0, those that are left out included (:func:`line_of`).

    Args:
        path: where the text stands, or will stand; its suffix tells what separates the columns.
        text: header and rows.
        separator: what separates the columns, where that is known better.
    """
    if path.suffix not in SEPARATORS:
        raise CohortError(path, expected="a .tsv or .csv file", found=path.suffix or "no suffix", remedy="rename it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut
            separator = separator or SEPARATORS[path.suffix]
            header = read_cells(StringIO(text), separator, header=None, nrows=1)
            table = read_cells(StringIO(text), separator, index_col=False)
    except pd.errors.ParserWarning as error:
        raise CohortError(
            path,
            expected="as many cells in each row as in the header",
            found="rows that are longer",
            remedy="give every column a name, and quote cells that hold the separator",
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise CohortError(
            path, expected="a table with a header", found=str(error).strip(), remedy="save it as UTF-8 text again"
        ) from error
    _refuse_repeated_columns(path, [str(name).strip() for name in header.iloc[0]])
    table.columns = table.columns.str.strip()
    cells = table.fillna("").apply(lambda column: column.str.strip())
    cells = cells.replace(dict.fromkeys(("n/a", "N/A", "NA", "nan", "NaN"), ""))
    return cells[(cells != "").any(axis=1)]


def line_of(path: Path, number: object) -> str:
    """Return where the row ``number`` of a table stands, for a person who opens the file."""
    return f"{path}, line {number + 2}"  # pyright: ignore[reportOperatorIssue] - the index holds whole numbers


def rater_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of lesion masks, one a rater."""
    return sorted((c for c in table.columns if _LESION_MASK.match(c)), key=lambda c: (len(c), c))


def require_columns(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse a table that lacks a column."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise CohortError(
            path,
            expected=f"the columns {', '.join(names)}",
            found=", ".join(map(str, table.columns)),
            remedy=f"add {', '.join(missing)}",
        )


def _refuse_repeated_columns(path: Path, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    if repeated:
        raise CohortError(
            path,
            expected="columns of different names",
            found=f"{repeated[0]} {names.count(repeated[0])} times",
            remedy="rename or delete one of them",
        )


def file_of(where: str, table: Path, row: pd.Series, name: str) -> Path | None:
    """Return the file that a row's cell names, or None where the cell is empty."""
    text = str(row.get(name, ""))
    if not text:
        return None
    file = table.parent / text
    file = (file if file.is_file() or not text.startswith("~") else Path(text).expanduser()).resolve()
    if not file.is_file():
        raise CohortError(where, expected=f"a file in {name}", found=f"no file {file}", remedy="correct the path")
    return file


def _present(where: str, name: str, file: Path | None) -> Path:
    if file is None:
        raise CohortError(where, expected=f"a path in {name}", found="an empty cell", remedy="name the scan's file")
    return file


def disease_of(where: str, text: str, classes: Sequence[str]) -> str | None:
    """Return the class that a cell names, by name or code, or None where it is empty."""
    if not text:
        return None
    by_name = {name.casefold(): name for name in classes} | {str(code): name for code, name in enumerate(classes)}
    if text.casefold() not in by_name:
        raise CohortError(
            where,
            expected=f"a disease among {', '.join(classes)} (or empty)",
            found=text,
            remedy="correct the cell, or name all classes with classes=[...]",
        )
    return by_name[text.casefold()]


def case_name(subject: str, session: str | None) -> str:
    """Return a name that is safe as a folder."""
    name = subject if session is None else f"{subject}_{session}"
    return re.sub(r"[^\w.+-]", "-", name).lstrip(".")


def checked_case_name(where: str, subject: str, session: str | None) -> str:
    """Return :func:`case_name`, where it can be the name of a folder in a prepared store.

    Raises:
        CohortError: there is no subject, or the name is too long, taken by a file of the store, or nothing but dots.
    """
    if not subject:
        raise CohortError(where, expected="a subject", found="an empty cell", remedy="name the person scanned")
    name = case_name(subject, session)
    if not name or name.casefold() in STORE_FILES or len(name.encode()) > _LONGEST_NAME:
        found = subject if len(subject) <= 40 else f"{subject[:40]}... of {len(name)} characters"
        raise CohortError(where, expected="a subject that can name a folder", found=found, remedy="rename the subject")
    return name


def _refuse_repeats(path: Path, cases: Sequence[CohortCase]) -> None:
    repeated = [name for name, count in Counter(case.case.casefold() for case in cases).items() if count > 1]
    if repeated:
        raise CohortError(
            path,
            expected="one row for each subject and session",
            found=f"{len(repeated)} named twice ({', '.join(repeated[:5])})",
            remedy="give every visit its own session, every person their own subject",
        )
