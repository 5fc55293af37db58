"""Pseudonyms of patients: numbers in the order of a keyed hash of their identifiers."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import final

import pandas as pd

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan.cells import table_text
from joint_seg_cls.scan.tables import read_table

_DIGITS = 3
#: Columns of a key: pseudonym and patient, and the description of every series.
KEY_COLUMNS = ("subject", "session", "patient", "study_date", "series", "description", "taken")


@final
class PatientPseudonyms:
    """Assigns ``sub-001``, ``sub-002``, ... to patients.

    The same patients get the same names in any order of files. Only the rank of a hash is kept, from which
    no identifier can be recovered. Names of an earlier key are kept; new patients follow.

    Args:
        salt: enters the hash; another value gives another order.
        known: earlier names, by patient.
    """

    def __init__(self, salt: str, known: Mapping[str, str] | None = None) -> None:
        self._salt, self._known = salt.encode(), dict(known or {})

    def __call__(self, patients: Iterable[str]) -> dict[str, str]:
        """Return the name of each patient, in the order of the names."""
        patients = set(patients)
        last = max((int(name.rsplit("-", 1)[-1]) for name in self._known.values()), default=0)
        new = sorted(patients - set(self._known), key=self.digest)
        names = self._known | {who: f"sub-{number:0{_DIGITS}d}" for number, who in enumerate(new, start=last + 1)}
        return {who: names[who] for who in sorted(patients, key=lambda who: names[who])}

    def digest(self, text: str) -> str:
        """Return the keyed hash that defines the order."""
        return hmac.new(self._salt, text.encode(), hashlib.sha256).hexdigest()


def read_key(path: Path) -> list[dict[str, str]]:
    """Return the rows of an earlier key; empty if there is no file.

    Raises:
        CohortError: the file is not a key.
    """
    if not path.exists():
        return []
    table = read_table(path)
    wrong = table.get("subject") is None or not table["subject"].str.fullmatch(r"sub-\d+").all()
    if tuple(table.columns) != KEY_COLUMNS or wrong:
        raise CohortError(
            path,
            expected="no file, or a key written by this command",
            found="something else",
            remedy="choose another file with key=",
        )
    return [{str(name): str(cell) for name, cell in row.items()} for _, row in table.iterrows()]


def key_text(rows: Sequence[tuple[str, ...]], earlier: Sequence[Mapping[str, str]]) -> str:
    """Return the text of a key: ``rows`` in the order of :data:`KEY_COLUMNS`, and earlier rows of other patients."""
    now = {row[KEY_COLUMNS.index("patient")] for row in rows}
    lines: list[tuple[str, ...]] = [*rows]
    lines += [tuple(row[name] for name in KEY_COLUMNS) for row in earlier if row["patient"] not in now]
    lines.sort(key=lambda line: line[:2])
    return table_text(pd.DataFrame(lines, columns=list(KEY_COLUMNS)), "\t")
