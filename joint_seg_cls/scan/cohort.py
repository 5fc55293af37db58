"""The cohort table: one row per scan, validated before any computation.

Columns: ``subject``; ``session`` (optional); one column of paths per modality (``flair`` first); ``brain_mask``
(optional); ``lesion_mask``, ``lesion_mask_2``, ... (one per rater, may be empty); ``disease`` (the name of a class, not
its code; may be empty); further columns are kept unchanged. Paths are relative to the table.
"""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pandas as pd

from joint_seg_cls.errors import CohortError, shortened
from joint_seg_cls.scan import tables
from joint_seg_cls.scan.diseases import class_named, labels_word
from joint_seg_cls.scan.finder import is_nifti
from joint_seg_cls.scan.prepared import STORE_FILES
from joint_seg_cls.scan.tables import (
    SEPARATORS,
    line_of,
    one_spelling,
    require_columns,
    spellings,
    user_path,
)

#: Disease classes in the order of their codes: 0 is MS, 1 is NMOSD. The last is the positive class of SN, SP and AUC.
DISEASES = ("MS", "NMOSD")
_LESION_MASK = re.compile(r"lesion_mask(_\d+)?$")
#: Maximum length of a case name in bytes; file systems allow 255, and outputs append suffixes.
_LONGEST_NAME = 180


@final
@dataclass(frozen=True)
class CohortCase:
    """One row of the table: a scan of ``subject`` at ``session``. ``columns`` has the further columns."""

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
    path = user_path(path)
    return cohort_cases(path, read_table(path), modalities=modalities, classes=classes)


def cohort_cases(
    path: Path, table: pd.DataFrame, *, modalities: Sequence[str] = ("flair",), classes: Sequence[str] = DISEASES
) -> list[CohortCase]:
    """Check the cells of a table as :func:`read_cohort` does; ``path`` is the location of the table."""
    require_columns(path, table, ["subject", *modalities])
    if table.empty:
        raise CohortError(
            path, expected="at least one scan", found="a table without rows", remedy="add one row per scan"
        )
    raters = rater_columns(table)
    known = {"subject", "session", "brain_mask", "disease", *modalities, *raters}
    diseases = [str(cell) for cell in table.get("disease", ())]
    cases = []
    for number, row in table.iterrows():
        where = line_of(path, number)
        subject, session = one_spelling(str(row["subject"])), one_spelling(str(row.get("session", ""))) or None
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
                disease=disease_of(where, str(row.get("disease", "")), classes, diseases),
                columns={
                    str(name): str(row[name])
                    for name in table.columns
                    if name not in known and row[name] and not is_nifti(str(row[name]))
                },
            )
        )
    _refuse_repeats(path, cases)
    return cases


def read_table(path: Path) -> pd.DataFrame:
    """Return the cells of a cohort table as stripped text; missing values are empty.

    Raises:
        CohortError: the file is missing, is not a .tsv or .csv file, or is not a table.
    """
    kind = "a cohort table (.tsv or .csv)"
    if path.suffix.lower() not in SEPARATORS:
        tables.table_text(path, kind=kind)
        raise CohortError(path, expected="a .tsv or .csv file", found=path.suffix or "no suffix", remedy="rename it")
    return tables.read_table(path, kind=kind)


def rater_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of lesion masks, one per rater."""
    return sorted((c for c in table.columns if _LESION_MASK.match(c)), key=lambda c: (len(c), c))


def rater_column(number: int, name: str = "lesion_mask") -> str:
    """Return the column of the masks of rater ``number``, from 1: ``lesion_mask``, ``lesion_mask_2``, ..."""
    return name if number == 1 else f"{name}_{number}"


def file_of(where: str, table: Path, row: pd.Series, name: str) -> Path | None:
    """Return the file named in a cell, or None if the cell is empty.

    Raises:
        CohortError: the file does not exist.
    """
    text = str(row.get(name, ""))
    if not text:
        return None
    try:
        for spelling in spellings(text):
            file = table.parent / spelling
            file = (file if file.is_file() or not text.startswith("~") else Path(spelling).expanduser()).resolve()
            if file.is_file():
                return file
        found = f"no file {shortened((table.parent / text).resolve())}"
    except (OSError, RuntimeError, ValueError) as error:  # name too long, unknown user, null byte
        found = f"{shortened(text)} ({error.strerror if isinstance(error, OSError) else str(error).rstrip('.')})"
    raise CohortError(where, expected=f"a file in {name}", found=found, remedy="correct the path")


def _present(where: str, name: str, file: Path | None) -> Path:
    if file is None:
        raise CohortError(
            where, expected=f"a path in {name}", found="an empty cell", remedy="enter the path of the scan"
        )
    return file


def disease_of(where: str, text: str, classes: Sequence[str], column: Sequence[str] = ()) -> str | None:
    """Return the class named in a cell, or None if the cell is empty.

    Args:
        where: table and line, for messages.
        text: the cell.
        classes: names of the classes. A number is not a name: codes of other programs differ from ours.
        column: all cells of the column, which the message then covers.

    Raises:
        CohortError: the cell is not the name of a class.
    """
    if not text:
        return None
    found = class_named(text, classes)
    if found is None:
        table = Path(where.rpartition(", line ")[0] or where)
        unknown = [name for name in dict.fromkeys((text, *column)) if name and class_named(name, classes) is None]
        again = f"jsc cohort source=table path={shlex.quote(str(table))}"
        out = shlex.quote(str(table.with_name(f"{table.stem}_named{table.suffix}")))
        out += "" if tuple(classes) == DISEASES else " " + shlex.quote(f"classes=[{','.join(classes)}]")
        raise CohortError(
            where,
            expected=f"a disease among {', '.join(classes)} (or empty)",
            found=shortened(text),
            remedy=f"write the name of the class, or write a new table by `{again} out={out} {labels_word(unknown)}` "
            f"({' or '.join(classes)} instead of null if it means a class); classes=[...] defines other classes",
        )
    return found


def case_name(subject: str, session: str | None) -> str:
    """Return a name that can be used as a folder name."""
    name = subject if session is None else f"{subject}_{session}"
    return re.sub(r"[^\w.+-]", "-", name).lstrip(".")


def checked_case_name(where: str, subject: str, session: str | None) -> str:
    """Return :func:`case_name` after checking that it can be a folder in a prepared store.

    Raises:
        CohortError: the subject is missing, or the name is too long, reserved by the store, or consists of dots.
    """
    if not subject:
        raise CohortError(where, expected="a subject", found="an empty cell", remedy="enter a subject")
    name = case_name(subject, session)
    if not name or name.casefold() in STORE_FILES or len(name.encode()) > _LONGEST_NAME:
        found = subject if len(subject) <= 40 else f"{subject[:40]}... of {len(name)} characters"
        raise CohortError(
            where, expected="a subject that can be a folder name", found=found, remedy="rename the subject"
        )
    return name


def _refuse_repeats(path: Path, cases: Sequence[CohortCase]) -> None:
    people: dict[str, str] = {}
    for case in cases:
        other = people.setdefault(case.subject.casefold(), case.subject)
        if other != case.subject:  # one person, whom folds would treat as two
            raise CohortError(
                path,
                expected="one spelling per subject",
                found=f"{other} and {case.subject}, which differ only in case",
                remedy="use one spelling, or give different people different names",
            )
    repeated = [name for name, count in Counter(case.case.casefold() for case in cases).items() if count > 1]
    if repeated:
        raise CohortError(
            path,
            expected="one row for each subject and session",
            found=f"{len(repeated)} appear twice ({', '.join(repeated[:5])})",
            remedy="give each visit its own session and each person their own subject",
        )
