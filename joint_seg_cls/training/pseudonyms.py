"""Names under which a run's cases leave the machine; the key to them stays in the run folder."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.whole_file import write_json

KEY_FILE = "pseudonyms.json"
_SALT_BYTES = 16
#: An absolute path, one from here or from home, a Windows drive or share, or an address, anywhere in a text.
_PATH = re.compile(r"(?:^|[^\w.])(?:/|~/?|\.{1,2}/|\\\\)\w|(?:^|\W)[A-Za-z]:[\\/]")
#: A shorter name, or one without a digit, is not looked for within a text: "1" and "joint" stand in many.
_SHORTEST_WITHIN = 4


@final
class Pseudonyms:
    """One pseudonym a case, drawn from a salt that nobody else knows.

    A run that is resumed finds its key again, and so its pseudonyms and its ids. Two runs have different ones: without
    the keys nobody can tell that a case of one is a case of the other.

    Args:
        salt: what the pseudonyms are drawn from.
        cases: for each case its subject and session, None where it has no session.
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
        """Return the pseudonyms of the run in ``folder``, whose key is read there, or made, and completed.

        Raises:
            ConfigError: the key cannot be read.
        """
        path = folder / KEY_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            salt, known = content["salt"], dict(content["cases"])
        except FileNotFoundError:
            salt, known = secrets.token_hex(_SALT_BYTES), {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                path,
                expected="the key to the run's pseudonyms",
                found=type(error).__name__,
                remedy="delete the file; cases that were tracked before then have other names",
            ) from error
        made = cls(salt, cases)
        write_json(path, {"salt": salt, "cases": known | made.key})
        return made

    @property
    def key(self) -> dict[str, str]:
        """Return the pseudonym of each case."""
        return dict(self._of_case)

    def id_of(self, job: str) -> str:
        """Return a service's id for a job of this run: the same whenever it is resumed, wherever the folder lies."""
        return self._digest(f"job {job}", length=12)

    def __getitem__(self, case: str) -> str:
        """Return the pseudonym of ``case``; of one that the run does not know it is drawn alike."""
        return self._of_case.get(case, f"case-{self._digest(case)}")

    def publishable(self, value: Any) -> Any:
        """Return plain values without paths and addresses, with pseudonyms in the place of cases and people.

        A key of a mapping, or an element of a list, that holds a path is left out. Within a longer text a name counts
        where it has four characters, one of them a digit, and stands apart from other letters and digits.
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
    """Return whether a text names a file or folder by a relative path of more than one part."""
    if "/" not in text and "\\" not in text:
        return False
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError):
        return False
