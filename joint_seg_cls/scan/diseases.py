"""Names of diseases: which class a text names, and how a user is asked for what it stands for.

The codes of the classes (their places in ``classes=``) are this program's own. A number in a table is somebody else's
code: it names no class, unless a class is called so.
"""

import json
import re
import shlex
from collections.abc import Iterable, Sequence

#: Full names and their usual short ones, for side-cars that describe codes. Subtypes are left to the user.
_SHORT = {
    "multiple sclerosis": "ms",
    "neuromyelitis optica spectrum disorder": "nmosd",
    "neuromyelitis optica spectrum disorders": "nmosd",
    "neuromyelitis optica spectrum disease": "nmosd",
    "myelin oligodendrocyte glycoprotein antibody disease": "mogad",
    "mog antibody disease": "mogad",
    "healthy control": "hc",
    "healthy controls": "hc",
    "healthy": "hc",
    "healthy volunteer": "hc",
    "healthy volunteers": "hc",
    "healthy subject": "hc",
    "healthy subjects": "hc",
    "control": "hc",
    "controls": "hc",
    "normal control": "hc",
    "normal controls": "hc",
}
_PERSON = re.compile(r"\b(patients?|persons?|people|participants?|individuals?|with|group)\b")
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
#: Names that need no quotation marks in ``labels={...}``.
_PLAIN = re.compile(r"(?!null$)[A-Za-z][A-Za-z0-9_ .+/-]*(?<! )|0|-?[1-9][0-9]*", re.IGNORECASE)
_MOST_ASKED, _LONGEST_NAME = 12, 100


def class_named(text: str, classes: Sequence[str]) -> str | None:
    """Return the class that ``text`` names, case aside; None where it names none.

    A class that is called by a whole number is also named by its other spellings (``1.0``), where no other class is.
    """
    by_name = {name.strip().casefold(): name for name in classes}
    if (found := by_name.get(text.strip().casefold())) is not None:
        return found
    alike = [name for name in classes if plain_code(name) == plain_code(text)] if _WHOLE.fullmatch(text.strip()) else []
    return alike[0] if len(alike) == 1 else None


def plain_code(text: str) -> str:
    """Return a code in one spelling: ``1.0`` and ``01`` are 1, case and surrounding spaces aside."""
    plain = text.strip().casefold()
    if not _WHOLE.fullmatch(plain):
        return " ".join(plain.split())
    sign = "-" if plain.startswith("-") else ""
    return sign + (plain.lstrip("+-").split(".")[0].lstrip("0") or "0")


def described_class(text: str, classes: Sequence[str]) -> str | None:
    """Return the class that a description names, as ``Multiple sclerosis (MS)``; None where any part of it does not."""
    found = {_class_of(part, classes) for part in _parts(text)}
    return found.pop() if len(found) == 1 else None


def is_control(text: str) -> bool:
    """Return whether a description is that of people without the diseases."""
    parts = _parts(text)
    return bool(parts) and all(_SHORT.get(part, part) == "hc" for part in parts)


def labels_word(names: Iterable[str]) -> str:
    """Return the word of a command line that says of each name that it stands for no class, to be edited.

    A text that is too long for a name is left out.
    """
    asked = list(dict.fromkeys(_key(name) for name in names if len(name) <= _LONGEST_NAME))[:_MOST_ASKED]
    return shlex.quote(f"labels={{{', '.join(f'{key}: null' for key in asked)}}}")


def is_plain(name: str) -> bool:
    """Return whether a name stands in ``labels={...}`` without quotation marks and is read there as it is written."""
    return _PLAIN.fullmatch(name) is not None


def _key(name: str) -> str:
    name = plain_code(name) if _WHOLE.fullmatch(name) else name
    return name if is_plain(name) else json.dumps(name, ensure_ascii=False)


def _class_of(part: str, classes: Sequence[str]) -> str | None:
    by_short = {_SHORT.get(_tidy(name), _tidy(name)): name for name in classes}
    return by_short.get(_SHORT.get(part, part))


def _parts(text: str) -> list[str]:
    """Return a description and what it holds in brackets, each without the words for people."""
    inside = re.findall(r"\(([^()]*)\)|\[([^\[\]]*)\]", text)
    outside = re.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", text)
    return [part for part in map(_tidy, (outside, *(a or b for a, b in inside))) if part]


def _tidy(text: str) -> str:
    plain = re.sub(r"[\s_-]+", " ", text.casefold()).strip(" .;,")
    return " ".join(_PERSON.sub(" ", plain).split())
