"""Reader of an existing table with its own names of columns and diseases."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import final

import pandas as pd

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.cohort import case_name, file_of, rater_columns
from joint_seg_cls.scan.finder import Remark, is_nifti
from joint_seg_cls.scan.readers.people import Labels, Meanings
from joint_seg_cls.scan.readers.reader import Found, FoundScan, Reader
from joint_seg_cls.scan.tables import line_of, one_spelling, read_table, require_columns

_NO_FILES = frozenset({"subject", "session", "disease"})


@final
class TableReader(Reader):
    """Reads a table with one row per scan, whose paths are relative to it.

    Args:
        columns: names of the columns in the file, by the name in the cohort table (``{flair: FLAIR_path, disease:
            dx}``); other columns keep their names.
        labels: the class of each name of a disease (``{RRMS: MS}``); None for a name that is not a class.
    """

    def __init__(self, columns: Mapping[str, str] | None = None, labels: Meanings | None = None) -> None:
        self._columns = dict(columns or {})
        self._labels = Labels(labels)

    def read(self, path: Path, out: Path) -> Found:
        """Return the rows of the table at ``path``."""
        if path.is_dir():
            raise CohortError(path, expected="a table", found="a folder", remedy="set path= to the file")
        table = self._renamed(path, read_table(path, subject=self._columns.get("subject")))
        self._of_column = self._labels.of_column(path, self._columns.get("disease", "disease"))
        require_columns(path, table, ["subject", "flair"])
        scans, remarks = [], []
        for number, row in table.iterrows():
            where = line_of(path, number)
            scan = self._scan(where, path, row, table)
            if "flair" in scan.files:
                scans.append(scan)
            else:
                remarks.append(Remark("rows without a FLAIR", f"{where.rpartition(', ')[2]} ({scan.name})"))
        if not scans:
            found = f"{len(table)} rows" if len(table) else "only a header"
            raise CohortError(path, expected="at least one scan", found=found, remedy="add one row per scan")
        _refuse_repeats(path, scans)
        return Found(tuple(scans), tuple(remarks), named=self._labels.given)

    def _renamed(self, path: Path, table: pd.DataFrame) -> pd.DataFrame:
        require_columns(path, table, list(self._columns.values()))
        names = {theirs: ours for ours, theirs in self._columns.items()}
        if hidden := [ours for ours, theirs in self._columns.items() if ours in table.columns and ours != theirs]:
            table = table.drop(columns=[name for name in hidden if name not in names])
        return table.rename(columns=names)

    def _scan(self, where: str, path: Path, row: pd.Series, table: pd.DataFrame) -> FoundScan:
        paths = {"flair", "brain_mask", *rater_columns(table)}
        paths |= {name for name in table.columns if name not in _NO_FILES and is_nifti(str(row[name]))}
        files = {name: _file(where, path, row, name) for name in table.columns if name in paths}
        subject, session = one_spelling(str(row["subject"])), one_spelling(str(row.get("session", ""))) or None
        if not subject:
            raise CohortError(where, expected="a subject", found="an empty cell", remedy="enter a subject")
        return FoundScan(
            subject=subject,
            session=session,
            files={name: file for name, file in files.items() if file is not None},
            disease=self._of_column(str(row.get("disease", ""))),
            columns={
                str(name): str(row[name]) for name in table.columns if name not in paths | _NO_FILES and row[name]
            },
        )


def _file(where: str, path: Path, row: pd.Series, name: str) -> Path | None:
    """Return the file named in the table, without resolving links."""
    file = file_of(where, path, row, name)
    named = Path(os.path.normpath(path.parent.resolve() / str(row[name])))
    return named if file is not None and named.is_file() and named.samefile(file) else file


def _refuse_repeats(path: Path, scans: list[FoundScan]) -> None:
    counts = Counter(case_name(scan.subject, scan.session).casefold() for scan in scans)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise CohortError(
            path,
            expected="one row for each subject and session",
            found=f"several for {', '.join(repeated[:5])}",
            remedy="give each visit its own session and each person their own subject",
        )
