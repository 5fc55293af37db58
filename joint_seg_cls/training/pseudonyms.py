"""Pseudonyms of cases for tracking services; the key remains in the run folder."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from joint_seg_cls.atomic_write import write_json
from joint_seg_cls.errors import ConfigError

KEY_FILE = "pseudonyms.json"
_SALT_BYTES = 16
#: An absolute path, a path relative to this folder or home, a Windows drive or share, or a URL in a text.
_PATH = re.compile(r"(?:^|[^\w.])(?:/|~/?|\.{1,2}/|\\\\)\w|(?:^|\W)[A-Za-z]:[\\/]")
#: Names that are shorter or without a digit are not replaced within a text, since "1" or "joint" are common.
_SHORTEST_WITHIN = 4


@final
class Pseudonyms:
    """One pseudonym per case, derived from a secret salt.

    A resumed run reads its key, so its pseudonyms and ids are unchanged. Pseudonyms of two runs differ, so that they do
    not reveal which cases are in both.

    Args:
        cases: subject and session of each case; None for no session.
    """

    def __init__(self, salt: str, cases: Mapping[str, tuple[str, str | None]]) -> None:
        self._salt = salt
        self._of_case = {case: f"case-{self._digest(case)}" for case in cases}
        private = {name for subject, session in cases.values() for name in (subject, session) if name}
        self._private = {name: f"person-{self._digest(name)}" for name in private} | self._of_case
        within = [name for name in self._private if len(name) >= _SHORTEST_WITHIN and re.search(r"\d", name)]
        longest_first = "|".join(map(re.escape, sorted(within, key=len, reverse=True)))
        self._within = re.compile(rf"(?<![^\W_])(?:{longest_first})(?![^\W_])") if within else None

    @classmethod
    def of(cls, folder: Path, cases: Mapping[str, tuple[str, str | None]]) -> "Pseudonyms":
        """Return the pseudonyms of the run in ``folder``; its key is read or created, and extended.

        Raises:
            ConfigError: the key cannot be read.
        """
        path = folder / KEY_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            salt, known = content["salt"], dict(content["cases"])
        except FileNotFoundError:
            salt, known = secrets.token_hex(_SALT_BYTES), {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(
                path,
                expected="the key to the run's pseudonyms",
                found=type(error).__name__,
                remedy="delete the file; cases that were tracked before then have other pseudonyms",
            ) from error
        made = cls(salt, cases)
        write_json(path, {"salt": salt, "cases": known | made.key})
        return made

    @property
    def key(self) -> dict[str, str]:
        """Return the pseudonym of each case."""
        return dict(self._of_case)

    def id_of(self, job: str) -> str:
        """Return the id of a job of this run at a service; unchanged if the run is resumed or moved."""
        return self._digest(f"job {job}", length=12)

    def __getitem__(self, case: str) -> str:
        """Return the pseudonym of ``case``, which may be a case of another run."""
        return self._of_case.get(case, f"case-{self._digest(case)}")

    def publishable(self, value: Any) -> Any:
        """Return plain values without paths and URLs, and with pseudonyms for cases and people.

        Mapping keys and list elements with a path are removed. Within a longer text a name is replaced if it has at
        least four characters, one of them a digit, and is not part of a longer word.
        """
        if isinstance(value, Mapping):
            kept = {self._shown(str(key)): child for key, child in value.items() if not _is_path(child)}
            return {key: self.publishable(child) for key, child in kept.items()}
        if isinstance(value, list | tuple):
            return [self.publishable(child) for child in value if not _is_path(child)]
        if isinstance(value, str):
            return self._shown(value)
        return value if isinstance(value, int | float | bool) or value is None else type(value).__name__

    def _shown(self, text: str) -> str:
        if text in self._private or self._within is None:
            return self._private.get(text, text)
        return self._within.sub(lambda found: self._private[found.group()], text)

    def _digest(self, name: str, length: int = 8) -> str:
        return hashlib.sha256(f"{self._salt}:{name}".encode()).hexdigest()[:length]


def _is_path(value: Any) -> bool:
    return isinstance(value, Path) or (isinstance(value, str) and bool(_PATH.search(value) or _exists(value)))


def _exists(text: str) -> bool:
    """Return whether a text is an existing relative path of several parts."""
    if "/" not in text and "\\" not in text:
        return False
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError):
        return False
