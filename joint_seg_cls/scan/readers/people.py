"""Tables of people: disease and further columns, joined to scans by the names of subject and visit."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import pandas as pd

from joint_seg_cls.errors import CohortError, ConfigError, shortened
from joint_seg_cls.scan.diseases import plain_code
from joint_seg_cls.scan.readers.reader import OWN_COLUMNS
from joint_seg_cls.scan.readers.sidecar import read_side_car
from joint_seg_cls.scan.tables import SUBJECT_COLUMNS, line_of, one_spelling

#: Possible columns of the visit; the first one present is used.
SESSION_COLUMNS = ("session_id", "session", "ses", "visit", "timepoint")
#: Possible columns of the disease, unless the user names one.
DISEASE_COLUMNS = ("disease", "diagnosis", "dx")
#: Meanings of names of diseases; Hydra converts words such as ``0`` to numbers.
Meanings = Mapping[Any, str | int | float | bool | None]
_PREFIX = re.compile(r"^(sub|ses)-", re.IGNORECASE)
_PATHS = re.compile(r"(brain|lesion)_mask(_\d+)?$")


@final
class Labels:
    """Maps names of diseases in a hospital's table to classes.

    Args:
        names: the class of each name, ignoring case; None for a name that is not a class. An integer matches
            its other spellings too (``1`` and ``1.0``).
        levels: meaning of each code of a column, from the side-car of the table.
        given: collects, for each name given by ``names`` or ``levels``, the text in the table.

    Raises:
        ConfigError: one name means two classes.
    """

    def __init__(
        self,
        names: Meanings | None = None,
        levels: Mapping[str, str] | None = None,
        given: dict[str, str] | None = None,
    ) -> None:
        self._names: dict[str, str | None] = {}
        for name, label in (names or {}).items():
            plain, meant = plain_code(str(name)), None if label is None else str(label).strip() or None
            if self._names.setdefault(plain, meant) != meant:
                raise ConfigError(
                    "labels",
                    expected="one class for each name",
                    found=f"{self._names[plain]} and {meant} for {name}",
                    remedy="remove one of them",
                )
        self._levels = {plain_code(code): meaning for code, meaning in (levels or {}).items()}
        self.given: dict[str, str] = {} if given is None else given

    def __call__(self, text: str) -> str | None:
        """Return the meaning of ``text``, ``text`` itself if it is unknown, None if it is empty.

        Names given by the user take precedence over the side-car.
        """
        text = text.strip()
        meaning = self._levels.get(plain_code(text))
        for key in (text, meaning):
            if key and plain_code(key) in self._names:
                return self._noted(self._names[plain_code(key)], text)
        return self._noted(meaning, text) or text or None

    def of_column(self, table: Path, column: str | None) -> "Labels":
        """Return these labels with the meanings of ``column`` in the side-car of the table."""
        levels = {} if column is None else levels_of(table.with_suffix(".json"), column)
        return Labels(self._names, levels, self.given) if levels else self

    def _noted(self, name: str | None, text: str) -> str | None:
        if name is not None:
            self.given.setdefault(name, text)
        return name


def levels_of(side_car: Path, column: str) -> dict[str, str]:
    """Return the meanings of codes in a column from a table's side-car (BIDS: ``Levels``); empty if there are none."""
    record = read_side_car(side_car)
    described = record.get(column) if record is not None else None
    levels = described.get("Levels") if isinstance(described, dict) else None
    if not isinstance(levels, dict):
        return {}
    meanings = {
        str(code): meaning.get("Description", meaning.get("LongName")) if isinstance(meaning, dict) else meaning
        for code, meaning in levels.items()
    }
    return {code: meaning.strip() for code, meaning in meanings.items() if isinstance(meaning, str) and meaning.strip()}


@final
class People:
    """Rows of a table of participants or sessions, looked up by name.

    Names match with or without ``sub-`` and ``ses-``, ignoring case. If no name matches, numbers match
    ignoring leading zeros, if the match is unique.

    Args:
        table: its cells.
        labels: maps cells of the column of diseases to classes.
        disease: the column of diseases; None uses the first of :data:`DISEASE_COLUMNS` present.
        scanned: subjects with scans: ``7`` does not match the row of ``07`` if both were scanned.

    Raises:
        CohortError: there is no column of subjects or no column ``disease``, or two rows of one subject and visit
            differ.
    """

    def __init__(
        self,
        path: Path,
        table: pd.DataFrame,
        labels: Labels,
        disease: str | None = None,
        scanned: Iterable[str] = (),
    ) -> None:
        self.path = path
        self._subject = _column(table, SUBJECT_COLUMNS)
        if self._subject is None:
            raise CohortError(
                path,
                expected="a column of subjects (participant_id)",
                found=shortened(", ".join(map(str, table.columns))),
                remedy="rename the column",
            )
        self._session = _column(table, SESSION_COLUMNS)
        if disease is not None and disease not in table.columns:
            raise CohortError(
                path,
                expected=f"the column {disease}",
                found=shortened(", ".join(map(str, table.columns))),
                remedy="use the name of the column of diseases in this table",
            )
        self.disease_column = disease or _column(table, DISEASE_COLUMNS)
        self._labels = labels.of_column(path, self.disease_column)
        self._rows = self._by_name(table)
        self._known = Names(subject for subject, _ in self._rows)
        self._scanned = Names(scanned)
        self._used: set[str] = set()

    def about(self, subject: str, session: str | None) -> tuple[str | None, dict[str, str]]:
        """Return the disease and further columns of a subject at a visit; a row without a visit applies to all."""
        row: dict[str, str] = {}
        who = self._row_of(subject)
        if who is not None:
            self._used.add(who)
            visits = Names(visit for person, visit in self._rows if person == who and visit)
            for visit in dict.fromkeys(("", visits.of(session) if session else None)):
                row |= {name: text for name, text in self._rows.get((who, visit or ""), {}).items() if text}
        disease = self._labels(row.get(self.disease_column or "", ""))
        skipped = {self._subject, self._session, self.disease_column}
        return disease, {name: text for name, text in row.items() if name not in skipped and _is_free(name)}

    def has(self, subject: str) -> bool:
        """Return whether the subject has a row."""
        return self._row_of(subject) is not None

    @property
    def unused(self) -> list[str]:
        """Subjects that were never looked up."""
        return [row[str(self._subject)] for (name, _), row in self._rows.items() if name not in self._used]

    def _row_of(self, subject: str) -> str | None:
        """Return the name of a subject in the table, unless it is the exact name of another scanned subject."""
        found = self._known.of(subject)
        owner = None if found is None else self._scanned.of(found)
        return found if owner is None or owner == exact_name(subject) else None

    def _by_name(self, table: pd.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for number, cells in table.iterrows():
            row = {str(name): str(text) for name, text in cells.items()}
            subject, session = row[str(self._subject)], row.get(self._session or "", "")
            if not subject:
                if not any(row.values()):
                    continue
                raise CohortError(
                    line_of(self.path, number),
                    expected=f"a name in {self._subject}",
                    found="an empty cell",
                    remedy="enter the subject or delete the row",
                )
            key = (exact_name(subject), exact_name(session))
            if key in rows and rows[key] != row:
                raise CohortError(
                    line_of(self.path, number),
                    expected="one row for each subject" + (" and visit" if self._session else ""),
                    found=shortened(f"{subject} {session}".strip()) + " again, with different cells",
                    remedy="keep one of the two rows",
                )
            rows[key] = row
        return rows


@final
class Names:
    """Lookup of names: exact, else as a number."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact = set(map(exact_name, names))
        self._alike: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._exact):
            self._alike[plain_name(name)].append(name)

    def of(self, name: str) -> str | None:
        """Return the match for ``name``, None if there is none or several."""
        if exact_name(name) in self._exact:
            return exact_name(name)
        alike = self._alike.get(plain_name(name), [])
        return alike[0] if len(alike) == 1 else None


def exact_name(name: str) -> str:
    """Return a name without ``sub-`` or ``ses-``, in lower case."""
    return _PREFIX.sub("", one_spelling(name).strip()).casefold()


def plain_name(name: str) -> str:
    """Return :func:`exact_name`, without leading zeros if it is a number."""
    plain = exact_name(name)
    return (plain.lstrip("0") or "0") if re.fullmatch("[0-9]+", plain) else plain


def _column(table: pd.DataFrame, names: Sequence[str]) -> str | None:
    by_name = {str(column).casefold(): str(column) for column in reversed(table.columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _is_free(name: str) -> bool:
    return bool(name) and name not in OWN_COLUMNS and not name.startswith("Unnamed:") and not _PATHS.match(name)
