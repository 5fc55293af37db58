"""What a table says of people: the disease and free columns, joined to scans by the person's and visit's name."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import pandas as pd

from joint_seg_cls.errors import CohortError, ConfigError
from joint_seg_cls.scan.diseases import plain_code
from joint_seg_cls.scan.readers.reader import OWN_COLUMNS
from joint_seg_cls.scan.readers.sidecar import read_side_car
from joint_seg_cls.scan.tables import SUBJECT_COLUMNS, line_of, one_spelling, shortened

#: Columns in which the visit may stand; the first that a table has is used.
SESSION_COLUMNS = ("session_id", "session", "ses", "visit", "timepoint")
#: Columns in which the disease may stand, where the user does not name one.
DISEASE_COLUMNS = ("disease", "diagnosis", "dx")
#: What names of diseases stand for; Hydra makes numbers of words such as ``0``.
Meanings = Mapping[Any, str | int | float | bool | None]
_PREFIX = re.compile(r"^(sub|ses)-", re.IGNORECASE)
_PATHS = re.compile(r"(brain|lesion)_mask(_\d+)?$")


@final
class Labels:
    """Names of diseases as a hospital writes them, and the classes that they stand for.

    Args:
        names: the class of each name, case aside; None for a name that stands for no class. A whole number stands for
            its other spellings too (``1`` for ``1.0``).
        levels: what each code of a column means, from the column's side-car.
        given: collects the text in the table by every name that ``names`` or ``levels`` gave for it.

    Raises:
        ConfigError: one name stands for two classes.
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
                    remedy="leave out one of them",
                )
        self._levels = {plain_code(code): meaning for code, meaning in (levels or {}).items()}
        self.given: dict[str, str] = {} if given is None else given

    def __call__(self, text: str) -> str | None:
        """Return the name that ``text`` stands for, ``text`` itself where nothing is known of it, None if empty.

        What the user names comes first, then what the side-car describes.
        """
        text = text.strip()
        meaning = self._levels.get(plain_code(text))
        for key in (text, meaning):
            if key and plain_code(key) in self._names:
                return self._noted(self._names[plain_code(key)], text)
        return self._noted(meaning, text) or text or None

    def of_column(self, table: Path, column: str | None) -> "Labels":
        """Return these labels with the meanings that the table's side-car gives for ``column``."""
        levels = {} if column is None else levels_of(table.with_suffix(".json"), column)
        return Labels(self._names, levels, self.given) if levels else self

    def _noted(self, name: str | None, text: str) -> str | None:
        if name is not None:
            self.given.setdefault(name, text)
        return name


def levels_of(side_car: Path, column: str) -> dict[str, str]:
    """Return what a table's side-car says of the codes in a column (BIDS: ``Levels``), nothing where there is none."""
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
    """The rows of a participants' (or sessions') table, found by name.

    Names match with or without ``sub-`` and ``ses-``, whatever their case. Where no name matches so, numbers match
    whatever their leading zeros, if that leaves one choice.

    Args:
        path: the table, for messages.
        table: its cells.
        labels: turns what stands in the column of diseases into classes.
        disease: the column of diseases; None takes the first of :data:`DISEASE_COLUMNS` that is there.
        scanned: the people who have scans: ``7`` does not take the row of ``07`` where both were scanned.

    Raises:
        CohortError: no column names the people, ``disease`` is no column, or two rows of one person and visit differ.
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
                expected="a column that names the people (participant_id)",
                found=shortened(", ".join(map(str, table.columns))),
                remedy="rename the column",
            )
        self._session = _column(table, SESSION_COLUMNS)
        if disease is not None and disease not in table.columns:
            raise CohortError(
                path,
                expected=f"the column {disease}",
                found=shortened(", ".join(map(str, table.columns))),
                remedy="name the column of diseases as it is written there",
            )
        self.disease_column = disease or _column(table, DISEASE_COLUMNS)
        self._labels = labels.of_column(path, self.disease_column)
        self._rows = self._by_name(table)
        self._known = Names(subject for subject, _ in self._rows)
        self._scanned = Names(scanned)
        self._used: set[str] = set()

    def about(self, subject: str, session: str | None) -> tuple[str | None, dict[str, str]]:
        """Return the disease and the free columns of a person at a visit; a row without a visit holds for all."""
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

    def knows(self, subject: str) -> bool:
        """Return whether a row names the person."""
        return self._row_of(subject) is not None

    @property
    def unused(self) -> list[str]:
        """The people whom nobody asked about."""
        return [row[str(self._subject)] for (name, _), row in self._rows.items() if name not in self._used]

    def _row_of(self, subject: str) -> str | None:
        """Return the name in the table that means a person, unless it is the very name of another one scanned."""
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
                    remedy="name the person or delete the row",
                )
            key = (exact_name(subject), exact_name(session))
            if key in rows and rows[key] != row:
                raise CohortError(
                    line_of(self.path, number),
                    expected="one row for each person" + (" and visit" if self._session else ""),
                    found=shortened(f"{subject} {session}".strip()) + " again, with other cells",
                    remedy="keep one of the two rows",
                )
            rows[key] = row
        return rows


@final
class Names:
    """Names among which one is looked for: as it is written, else as a number."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact = set(map(exact_name, names))
        self._alike: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._exact):
            self._alike[plain_name(name)].append(name)

    def of(self, name: str) -> str | None:
        """Return the one that ``name`` means, None where there is none, or several."""
        if exact_name(name) in self._exact:
            return exact_name(name)
        alike = self._alike.get(plain_name(name), [])
        return alike[0] if len(alike) == 1 else None


def exact_name(name: str) -> str:
    """Return a name without ``sub-`` or ``ses-``, in lower case."""
    return _PREFIX.sub("", one_spelling(name).strip()).casefold()


def plain_name(name: str) -> str:
    """Return a name as :func:`exact_name` does; of a number, without leading zeros."""
    plain = exact_name(name)
    return (plain.lstrip("0") or "0") if re.fullmatch("[0-9]+", plain) else plain


def _column(table: pd.DataFrame, names: Sequence[str]) -> str | None:
    by_name = {str(column).casefold(): str(column) for column in reversed(table.columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _is_free(name: str) -> bool:
    return bool(name) and name not in OWN_COLUMNS and not name.startswith("Unnamed:") and not _PATHS.match(name)
