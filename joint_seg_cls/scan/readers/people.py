"""What a table says of people: the disease and free columns, joined to scans by the person's and visit's name."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import pandas as pd

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.cohort import parse_table
from joint_seg_cls.scan.readers.reader import OWN_COLUMNS

#: Columns in which the person, and the visit, may stand; the first that a table has is used.
SUBJECT_COLUMNS = ("participant_id", "participant", "subject", "subject_id", "patient_id", "patient", "sub", "id")
SESSION_COLUMNS = ("session_id", "session", "ses", "visit", "timepoint")
#: Columns in which the disease may stand, where the user does not name one.
DISEASE_COLUMNS = ("disease", "diagnosis", "dx")
_PREFIX = re.compile(r"^(sub|ses)-", re.IGNORECASE)
_PATHS = re.compile(r"(brain|lesion)_mask(_\d+)?$")


@final
class Labels:
    """Names of diseases as a hospital writes them, and the classes that they stand for.

    Args:
        names: the class of each name, case aside; None for a name that stands for no class.
    """

    def __init__(self, names: Mapping[str, str | None] | None = None) -> None:
        self._names = {str(name).strip().casefold(): label for name, label in (names or {}).items()}

    def __call__(self, text: str) -> str | None:
        """Return the class that ``text`` stands for, ``text`` itself where nothing was said of it, None if empty."""
        return self._names.get(text.strip().casefold(), text.strip() or None)


@final
class People:
    """The rows of a participants' (or sessions') table, found by name.

    Names match with or without ``sub-`` and ``ses-``, whatever their case, and numbers whatever their leading zeros.

    Args:
        path: the table, for messages.
        table: its cells.
        labels: turns what stands in the column of diseases into classes.
        disease: the column of diseases; None takes the first of :data:`DISEASE_COLUMNS` that is there.

    Raises:
        CohortError: no column names the people, ``disease`` is no column, or two rows of one person and visit differ.
    """

    def __init__(self, path: Path, table: pd.DataFrame, labels: Labels, disease: str | None = None) -> None:
        self.path = path
        self._subject = _column(table, SUBJECT_COLUMNS)
        if self._subject is None:
            raise CohortError(
                path,
                expected="a column that names the people (participant_id)",
                found=", ".join(map(str, table.columns)),
                remedy="rename the column",
            )
        self._session = _column(table, SESSION_COLUMNS)
        if disease is not None and disease not in table.columns:
            raise CohortError(
                path,
                expected=f"the column {disease}",
                found=", ".join(map(str, table.columns)),
                remedy="name the column of diseases as it is written there",
            )
        self.disease_column = disease or _column(table, DISEASE_COLUMNS)
        self._labels = labels
        self._rows = self._by_name(table)
        self._used: set[tuple[str, str]] = set()

    def about(self, subject: str, session: str | None) -> tuple[str | None, dict[str, str]]:
        """Return the disease and the free columns of a person at a visit; a row without a visit holds for all."""
        row: dict[str, str] = {}
        for visit in ("", session or ""):
            key = (plain_name(subject), plain_name(visit))
            if key in self._rows:
                self._used.add(key)
                row |= {name: text for name, text in self._rows[key].items() if text}
        disease = self._labels(row.get(self.disease_column or "", ""))
        skipped = {self._subject, self._session, self.disease_column}
        return disease, {name: text for name, text in row.items() if name not in skipped and _is_free(name)}

    def knows(self, subject: str) -> bool:
        """Return whether a row names the person."""
        return any(name == plain_name(subject) for name, _ in self._rows)

    @property
    def unused(self) -> list[str]:
        """The people whom nobody asked about."""
        used = {name for name, _ in self._used}
        return [row[str(self._subject)] for (name, _), row in self._rows.items() if name not in used]

    def _by_name(self, table: pd.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for number, (_, cells) in enumerate(table.iterrows(), start=2):
            row = {str(name): str(text) for name, text in cells.items()}
            subject, session = row[str(self._subject)], row.get(self._session or "", "")
            if not subject:
                if not any(row.values()):
                    continue
                raise CohortError(
                    f"{self.path}, line {number}",
                    expected=f"a name in {self._subject}",
                    found="an empty cell",
                    remedy="name the person or delete the row",
                )
            key = (plain_name(subject), plain_name(session))
            if key in rows and rows[key] != row:
                raise CohortError(
                    f"{self.path}, line {number}",
                    expected="one row for each person" + (" and visit" if self._session else ""),
                    found=f"{subject} {session}".strip() + " again, with other cells",
                    remedy="keep one of the two rows",
                )
            rows[key] = row
        return rows


def read_loose_table(path: Path) -> pd.DataFrame:
    """Read a table whose columns are separated by tabs, commas or semicolons, whatever its suffix says.

    Raises:
        CohortError: it is not text, or has no header.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found = "no such file" if not path.exists() else "a file that is not UTF-8 text"
        raise CohortError(
            path, expected="a table", found=found, remedy="save it as tab-separated UTF-8 text"
        ) from error
    header = text.lstrip().split("\n", 1)[0]
    separator = max("\t,;", key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    if not header.strip() or "\x00" in header:
        found = "binary data" if "\x00" in header else "an empty file"
        raise CohortError(path, expected="a table with a header", found=found, remedy="save it as text again")
    return parse_table(path.with_suffix(".tsv") if path.suffix not in (".tsv", ".csv") else path, text, separator)


def plain_name(name: str) -> str:
    """Return a name without ``sub-`` or ``ses-``, in lower case; of a number, without leading zeros."""
    plain = _PREFIX.sub("", name.strip()).casefold()
    return (plain.lstrip("0") or "0") if plain.isdecimal() else plain


def _column(table: pd.DataFrame, names: Sequence[str]) -> str | None:
    by_name = {str(column).casefold(): str(column) for column in reversed(table.columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _is_free(name: str) -> bool:
    return bool(name) and name not in OWN_COLUMNS and not name.startswith("Unnamed:") and not _PATHS.match(name)
