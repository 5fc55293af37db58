"""Writing the cohort table: atomic, and never over a different table."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import SequenceMatcher
from filecmp import cmp
from pathlib import Path

import pandas as pd

from joint_seg_cls.atomic_write import clear_partial, write_text
from joint_seg_cls.errors import CohortError, examples, shortened
from joint_seg_cls.scan.cells import SEPARATORS, path_cell, table_text
from joint_seg_cls.scan.cohort import CohortCase, cohort_cases, rater_columns
from joint_seg_cls.scan.diseases import class_named, described_class, is_control, labels_word
from joint_seg_cls.scan.readers.private import write_private
from joint_seg_cls.scan.readers.reader import Found, FoundScan
from joint_seg_cls.scan.tables import parse_table

#: Number of unknown names of diseases in a message.
_MOST_NAMED = 5


def require_out(out: Path) -> None:
    """Refuse an invalid path of the table before anything is read.

    Raises:
        CohortError: ``out`` is a folder, has another suffix than .tsv or .csv, or is below a file.
    """
    if out.suffix.lower() not in SEPARATORS:
        found = out.suffix or "no suffix"
        raise CohortError(out, expected="a .tsv or .csv file", found=found, remedy="write out=cohort.tsv")
    if out.is_dir():
        raise CohortError(out, expected="a file", found="a folder", remedy="write out=cohort.tsv")
    if above := next((folder for folder in out.resolve().parents if folder.exists() and not folder.is_dir()), None):
        raise CohortError(above, expected="a folder", found="a file", remedy="choose another folder with out=")


def write_cohort_table(found: Found, out: Path, *, classes: Sequence[str]) -> list[CohortCase]:
    """Check the rows found by a reader and write them to ``out``; return them as cohort cases.

    Paths are relative to the table. An identical existing table is left unchanged.

    Raises:
        CohortError: a row would be refused by :func:`read_cohort`; ``out`` is a different table.
        OSError: the disk is full or read-only.
    """
    scans = with_classes(found, classes)
    folder = out.resolve().parent
    clear_partial(folder)
    with _discarding(found.staged):
        folder.mkdir(parents=True, exist_ok=True)
        text = _text(scans, out, folder)
        if out.exists() and out.read_bytes() != text.encode():
            raise another(out, "table")
        with _moved(found.staged):
            cases = cohort_cases(out, parse_table(out, text), classes=classes)
            if not out.exists():
                write_text(out, text)
    if found.private is not None:
        write_private(*found.private)
    return cases


def with_classes(found: Found, classes: Sequence[str]) -> list[FoundScan]:
    """Return the scans with diseases replaced by class names; controls named by the user have none.

    Raises:
        CohortError: a disease is not the name of a class.
    """
    scans, unknown = [], []
    for scan in found.scans:
        text = scan.disease
        if text is None or class_named(text, classes) is not None:
            scans.append(scan)
            continue
        source = found.named.get(text)
        known = None if source is None else class_named(source, classes) or described_class(text, classes)
        if known is None and (source is None or not is_control(text)):
            unknown.append(scan)
        scans.append(replace(scan, disease=known))
    if unknown:
        raise _unknown([str(scan.disease) for scan in unknown], found.named, classes)
    return scans


def _unknown(diseases: Sequence[str], named: Mapping[str, str], classes: Sequence[str]) -> CohortError:
    counts = Counter(diseases)
    asked = [named.get(name, name) for name in counts]
    meant = ["" if key == name else f"{shortened(name)}; " for key, name in zip(asked, counts, strict=True)]
    unknown = [
        f"{shortened(key)} ({what}{count} scan{'' if count == 1 else 's'})"
        for key, what, count in zip(asked, meant, counts.values(), strict=True)
    ]
    word = labels_word(asked)
    filled = f"with {' or '.join(classes)} instead of null for each name that means a class"
    if len(asked) == 1:
        like = _most_alike(next(iter(counts)), classes)
        filled = f"or {word.replace(': null', f': {like}')} if it means {like}"
    return CohortError(
        "the column of diseases",
        expected=f"{', '.join(classes)} or nothing",
        found=examples(unknown, _MOST_NAMED),
        remedy=f"add {word} (null means no class), {filled}, or list all classes with classes=[...]",
    )


def _most_alike(text: str, classes: Sequence[str]) -> str:
    """Return the class spelled most like ``text``; the first of those equally alike, as for a code."""
    return max(classes, key=lambda name: SequenceMatcher(None, name.casefold(), text.casefold()).ratio())


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
    return table_text(table, SEPARATORS[out.suffix.lower()])


@contextmanager
def _discarding(staged: tuple[Path, Path] | None) -> Iterator[None]:
    try:
        yield
    finally:
        if staged is not None:
            shutil.rmtree(staged[0], ignore_errors=True)


@contextmanager
def _moved(staged: tuple[Path, Path] | None) -> Iterator[None]:
    """Rename the staged folder to its final name; undo this if the block fails."""
    if staged is None or _same_folder(*staged):
        yield
        return
    partial, final = staged
    if final.exists():
        raise another(final, "folder of scans")
    partial.rename(final)
    try:
        yield
    except BaseException:
        final.rename(partial)
        raise


def _same_folder(partial: Path, final: Path) -> bool:
    names = [sorted((p.relative_to(f) for p in f.rglob("*") if p.is_file()), key=str) for f in (partial, final)]
    return final.is_dir() and names[0] == names[1] and all(cmp(partial / n, final / n, shallow=False) for n in names[0])


def another(place: Path, kind: str) -> CohortError:
    """Return the error of a table or folder of other content, which is kept."""
    return CohortError(
        place,
        expected=f"no file, or the same {kind}",
        found=f"another {kind}",
        remedy="choose another table with out=, or delete this one",
    )
