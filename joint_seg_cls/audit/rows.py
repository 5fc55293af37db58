"""Reading the rows of a cohort table to find all faults, not only the first."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, final

import pandas as pd

from joint_seg_cls.audit.finding import Check, Finding, from_refusal
from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.cohort import checked_case_name, disease_of, file_of, rater_columns, read_table
from joint_seg_cls.scan.finder import is_nifti
from joint_seg_cls.scan.tables import line_of, one_spelling, require_columns

Value = TypeVar("Value")


@final
@dataclass(frozen=True)
class Row:
    """The valid part of a row: missing files are omitted and reported in ``findings``."""

    case: str
    subject: str
    session: str | None
    disease: str | None
    images: dict[str, Path]
    brain_mask: Path | None
    lesion_masks: dict[str, Path]
    columns: dict[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def read_rows(path: Path, *, modalities: Sequence[str], classes: Sequence[str]) -> tuple[list[Row], list[Finding]]:
    """Return all rows of a cohort table, and findings about the table as a whole.

    Raises:
        CohortError: the table is missing, unreadable, without rows, or lacks ``subject`` or the column of a modality.
    """
    table = read_table(path)
    require_columns(path, table, ["subject", *modalities])
    if table.empty:
        raise CohortError(
            path, expected="at least one scan", found="a table without rows", remedy="add one row per scan"
        )
    lines = [line_of(path, number) for number in table.index]
    raters = rater_columns(table)
    diseases = [str(cell) for cell in table.get("disease", ())]
    rows = [
        _row(path, line, row, modalities, classes, raters, diseases)
        for line, (_, row) in zip(lines, table.iterrows(), strict=True)
    ]
    return rows, _of_one_name(rows, lines, path)


def _row(
    path: Path,
    where: str,
    cells: pd.Series,
    modalities: Sequence[str],
    classes: Sequence[str],
    raters: list[str],
    diseases: list[str],
) -> Row:
    subject, session = one_spelling(str(cells["subject"])), one_spelling(str(cells.get("session", ""))) or None
    case = f"line-{where.rpartition(' ')[2]}"
    findings: list[Finding] = []

    def caught(read: Callable[[], Value], check: Check) -> Value | None:
        try:
            return read()
        except CohortError as error:
            findings.append(from_refusal(error, check, case))
            return None

    case = caught(lambda: checked_case_name(where, subject, session), "table") or case
    images: dict[str, Path] = {}
    for name in modalities:
        if not str(cells[name]):
            found = Finding(
                "error", "files", f"a path in {name}", "an empty cell", "enter the path of the scan", (case,), where
            )
            findings.append(found)
        elif (file := caught(lambda name=name: file_of(where, path, cells, name), "files")) is not None:
            images[name] = file
    masks = {name: caught(lambda name=name: file_of(where, path, cells, name), "files") for name in raters}
    brain_mask = caught(lambda: file_of(where, path, cells, "brain_mask"), "files")
    disease = caught(lambda: disease_of(where, str(cells.get("disease", "")), classes, diseases), "table")
    known = {"subject", "session", "brain_mask", "disease", *modalities, *raters}
    columns = {
        str(name): str(value)
        for name, value in cells.items()
        if name not in known and value and not is_nifti(str(value))
    }
    lesion_masks = {name: file for name, file in masks.items() if file is not None}
    return Row(case, subject, session, disease, images, brain_mask, lesion_masks, columns, tuple(findings))


def _of_one_name(rows: list[Row], places: list[str], path: Path) -> list[Finding]:
    """Report rows with the same subject and session."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for place, row in zip(places, rows, strict=True):
        by_name[row.case.casefold()].append(place.rpartition(" ")[2])
    return [
        Finding(
            "error",
            "table",
            "one row for each subject and session",
            f"{name} in lines {', '.join(lines)}",
            "give each visit its own session and each person their own subject",
            (name,),
            str(path),
        )
        for name, lines in by_name.items()
        if len(lines) > 1
    ]
