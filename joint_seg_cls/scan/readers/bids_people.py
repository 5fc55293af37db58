"""Subjects and visits of a BIDS data set: participants.tsv and sessions.tsv."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import final

from joint_seg_cls.scan.finder import Remark
from joint_seg_cls.scan.readers.people import Labels, People
from joint_seg_cls.scan.readers.reader import FoundScan
from joint_seg_cls.scan.readers.sidecar import read_side_car
from joint_seg_cls.scan.tables import SUBJECT_COLUMNS, read_table

_PARTICIPANTS = ("participants.tsv", "participants.csv")


@final
class BidsPeople:
    """The tables of one data set; either may be missing.

    Args:
        root: folder of the data set; participants.tsv may also be in its parent folder (``rawdata``).
        labels: maps names of diseases to classes.
        disease: the column of diseases, or None for the usual names.
        scanned: subjects with scans.

    Raises:
        CohortError: participants.tsv is unreadable, or two of its rows contradict each other.
    """

    def __init__(self, root: Path, labels: Labels, disease: str | None, scanned: Sequence[str] = ()) -> None:
        self._root, self._labels, self._disease = root, labels, disease
        places = (
            (root, root / "rawdata", root.parent) if root.name.casefold() == "rawdata" else (root, root / "rawdata")
        )
        named = [place / name for place in places for name in _PARTICIPANTS if os.path.lexists(place / name)]
        file = next((one for one in named if one.exists()), None)
        self._missing = named[0] if named and file is None else None
        self._people = None if file is None else People(file, read_table(file), labels, disease, scanned)

    def about(self, subject: str, session: str | None) -> tuple[str | None, dict[str, str]]:
        """Return the disease and further columns of a subject at a visit; values of the visit take precedence."""
        disease, columns = self._people.about(subject, session) if self._people else (None, {})
        file = next((f for f in self._session_files(subject) if f.is_file()), None)
        if file is not None and session is not None:
            table = read_table(file)
            if not any(str(name).casefold() in SUBJECT_COLUMNS for name in table.columns):
                table = table.assign(participant_id=subject)
            named = self._disease if self._disease in table.columns else None
            own, more = People(file, table, self._labels, named).about(subject, session)
            return own or disease, columns | more
        return disease, columns

    def remarks(self, scans: Sequence[FoundScan]) -> list[Remark]:
        """Return remarks on missing tables and columns, and on subjects without scans."""
        if self._people is None:
            what = "no participants.tsv" if self._missing is None else "a broken link (fetch the file first)"
            about = self._root.name if self._missing is None else self._missing.name
            return [Remark(f"{what}: disease, age and sex are unknown", about)]
        side_car = self._people.path.with_suffix(".json")
        found = [Remark("side-cars that are not valid JSON", side_car.name)] * (read_side_car(side_car) is None)
        found += [
            Remark(f"subjects missing in {self._people.path.name}", subject)
            for subject in dict.fromkeys(scan.subject for scan in scans)
            if not self._people.has(subject)
        ]
        if self._people.disease_column is None:
            what = "no column of diseases (set disease_column=)"
            found.append(Remark(what, self._people.path.name))
        return found + [
            Remark(f"subjects in {self._people.path.name} without a FLAIR", name) for name in self._people.unused
        ]

    def _session_files(self, subject: str) -> list[Path]:
        places = (self._root / subject, self._root / "rawdata" / subject)
        return [place / f"{subject}_sessions.tsv" for place in places]
