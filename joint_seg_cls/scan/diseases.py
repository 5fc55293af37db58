"""Names of diseases: recognising the class that a text names, and asking the user about unknown names.

The code of a class is its position in ``classes=``. A number in a table is a code of another program and is not
accepted as a class, unless a class has that number as its name.
"""

import json
import re
import shlex
from collections.abc import Iterable, Sequence

#: Full names and abbreviations of diseases, for side-cars that describe codes. Subtypes are not mapped.
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
#: Names that need no quotes in ``labels={...}``.
_PLAIN = re.compile(r"(?!null$)[A-Za-z][A-Za-z0-9_ .+/-]*(?<! )|0|-?[1-9][0-9]*", re.IGNORECASE)
_MOST_ASKED, _LONGEST_NAME = 12, 100


def class_named(text: str, classes: Sequence[str]) -> str | None:
    """Return the class named by ``text``, ignoring case; None if there is none.

    A class named by an integer also matches other spellings of it (``1.0``), unless they name another class.
    """
    by_name = {name.strip().casefold(): name for name in classes}
    if (found := by_name.get(text.strip().casefold())) is not None:
        return found
    alike = [name for name in classes if plain_code(name) == plain_code(text)] if _WHOLE.fullmatch(text.strip()) else []
    return alike[0] if len(alike) == 1 else None


def plain_code(text: str) -> str:
    """Return a code in canonical spelling: ``1.0`` and ``01`` become 1; case and surrounding spaces are ignored."""
    plain = text.strip().casefold()
    if not _WHOLE.fullmatch(plain):
        return " ".join(plain.split())
    sign = "-" if plain.startswith("-") else ""
    return sign + (plain.lstrip("+-").split(".")[0].lstrip("0") or "0")


def described_class(text: str, classes: Sequence[str]) -> str | None:
    """Return the class named by a description such as ``Multiple sclerosis (MS)``; None unless all parts agree."""
    found = {_class_of(part, classes) for part in _parts(text)}
    return found.pop() if len(found) == 1 else None


def is_control(text: str) -> bool:
    """Return whether a description means healthy controls."""
    parts = _parts(text)
    return bool(parts) and all(_SHORT.get(part, part) == "hc" for part in parts)


def labels_word(names: Iterable[str]) -> str:
    """Return a ``labels={...}`` argument that maps each name to null, for the user to edit.

    Texts too long for a name are omitted.
    """
    asked = list(dict.fromkeys(_key(name) for name in names if len(name) <= _LONGEST_NAME))[:_MOST_ASKED]
    return shlex.quote(f"labels={{{', '.join(f'{key}: null' for key in asked)}}}")


def is_plain(name: str) -> bool:
    """Return whether a name can be written in ``labels={...}`` without quotes."""
    return _PLAIN.fullmatch(name) is not None


def _key(name: str) -> str:
    name = plain_code(name) if _WHOLE.fullmatch(name) else name
    return name if is_plain(name) else json.dumps(name, ensure_ascii=False)


def _class_of(part: str, classes: Sequence[str]) -> str | None:
    by_short = {_SHORT.get(_tidy(name), _tidy(name)): name for name in classes}
    return by_short.get(_SHORT.get(part, part))


def _parts(text: str) -> list[str]:
    """Return a description and its parts in brackets, each without words for people."""
    inside = re.findall(r"\(([^()]*)\)|\[([^\[\]]*)\]", text)
    outside = re.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", text)
    return [part for part in map(_tidy, (outside, *(a or b for a, b in inside))) if part]


def _tidy(text: str) -> str:
    plain = re.sub(r"[\s_-]+", " ", text.casefold()).strip(" .;,")
    return " ".join(_PERSON.sub(" ", plain).split())
