"""The cohort table on disk: written whole or not at all, and never over another one."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path

import pandas as pd

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.cells import SEPARATORS, path_cell, table_text
from joint_seg_cls.scan.cohort import CohortCase, cohort_cases, parse_table, rater_columns
from joint_seg_cls.scan.readers.private import write_private
from joint_seg_cls.scan.readers.reader import Found, FoundScan
from joint_seg_cls.whole_file import write_text


def require_out(out: Path) -> None:
    """Refuse a place for the table that cannot hold one, before anything is read.

    Raises:
        CohortError: ``out`` is a folder, has another suffix than .tsv or .csv, or lies below a file.
    """
    if out.suffix not in SEPARATORS:
        found = out.suffix or "no suffix"
        raise CohortError(out, expected="a .tsv or .csv file", found=found, remedy="write out=cohort.tsv")
    if out.is_dir():
        raise CohortError(out, expected="a file", found="a folder", remedy="write out=cohort.tsv")
    if above := next((folder for folder in out.resolve().parents if folder.exists() and not folder.is_dir()), None):
        raise CohortError(above, expected="a folder", found="a file", remedy="name another folder with out=")


def write_cohort_table(found: Found, out: Path, *, classes: Sequence[str]) -> list[CohortCase]:
    """Check the rows that a reader found and write them to ``out``; return them as they read there.

    Paths are relative to the table. Where the same table is there already, nothing is changed.

    Raises:
        CohortError: a row would be refused by :func:`read_cohort`; ``out`` holds another table; it cannot be written.
    """
    _require_classes(found.scans, classes)
    folder = out.resolve().parent
    with _discarding(found.staged), _said(out):
        folder.mkdir(parents=True, exist_ok=True)
        text = _text(found.scans, out, folder)
        if out.exists() and out.read_bytes() != text.encode():
            raise _another(out, "table")
        with _moved(found.staged):
            cases = cohort_cases(out, parse_table(out, text), classes=classes)
            if not out.exists():
                write_text(out, text)
    if found.private is not None:
        with _said(found.private[0]):
            write_private(*found.private)
    return cases


def _require_classes(scans: Sequence[FoundScan], classes: Sequence[str]) -> None:
    known = {name.casefold() for name in classes} | {str(code) for code in range(len(classes))}
    counts = Counter(scan.disease for scan in scans if scan.disease and scan.disease.casefold() not in known)
    if counts:
        example = next(iter(counts))
        raise CohortError(
            "the column of diseases",
            expected=f"{', '.join(classes)} or nothing",
            found=", ".join(f"{name} ({count} scans)" for name, count in counts.most_common(5)),
            remedy=f"say what each name stands for, as in labels={{{example}: {classes[0]}}} (null for no class), "
            "or name all classes with classes=[...]",
        )


def _text(scans: Sequence[FoundScan], out: Path, folder: Path) -> str:
    rows = [
        {"subject": scan.subject, "session": scan.session or ""}
        | {name: path_cell(Path(os.path.relpath(file, folder)).as_posix()) for name, file in scan.files.items()}
        | {"disease": scan.disease or ""}
        | dict(scan.columns)
        for scan in scans
    ]
    table = pd.DataFrame(rows).fillna("")
    if not table["session"].any():
        table = table.drop(columns="session")
    paths = {name for scan in scans for name in scan.files}
    raters = rater_columns(table)
    first = ["subject", "session", "flair", *sorted(paths - {"flair", "brain_mask", *raters}), "brain_mask", *raters]
    order = [name for name in (*first, "disease") if name in table.columns]
    table = table[[*order, *(name for name in table.columns if name not in order)]]
    return table_text(table, SEPARATORS[out.suffix])


@contextmanager
def _discarding(staged: tuple[Path, Path] | None) -> Iterator[None]:
    try:
        yield
    finally:
        if staged is not None:
            shutil.rmtree(staged[0], ignore_errors=True)


@contextmanager
def _moved(staged: tuple[Path, Path] | None) -> Iterator[None]:
    """Give the staged folder its name; take it back where what follows fails."""
    if staged is None or _same_folder(*staged):
        yield
        return
    partial, final = staged
    if final.exists():
        raise _another(final, "folder of scans")
    partial.rename(final)
    try:
        yield
    except BaseException:
        final.rename(partial)
        raise


def _same_folder(partial: Path, final: Path) -> bool:
    names = [sorted((p.relative_to(f) for p in f.rglob("*") if p.is_file()), key=str) for f in (partial, final)]
    return final.is_dir() and names[0] == names[1] and all(cmp(partial / n, final / n, shallow=False) for n in names[0])


@contextmanager
def _said(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CohortError(
            place, expected="a place that can be written", found=str(error.strerror), remedy="name another with out="
        ) from error


def _another(place: Path, kind: str) -> CohortError:
    return CohortError(
        place,
        expected=f"no file, or the same {kind}",
        found=f"another {kind}",
        remedy="name another table with out=, or delete this one",
    )
