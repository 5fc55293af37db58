"""Kinds of values of configuration keys: descriptions and checks."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from joint_seg_cls.errors import is_whole

#: Maximum length of a folder name in bytes; file systems allow 255, and some file names add a suffix.
LONGEST_NAME = 200
#: Invisible joiners in words of Persian and of Indic scripts.
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))


@final
@dataclass(frozen=True)
class Kind:
    """The valid values of a key."""

    description: str
    accepts: Callable[[Any], bool]


def whole(least: int = 0, most: int | None = None) -> Kind:
    """Return the kind of whole numbers from ``least`` to ``most``."""
    text = f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"
    top = math.inf if most is None else most
    return Kind(text, lambda value: is_whole(value, least, top))


def number(above: float = -math.inf, below: float = math.inf, *, least: float | None = None) -> Kind:
    """Return the kind of numbers in the open interval (``above``, ``below``), or from ``least`` inclusive."""
    text = "a number" if above == -math.inf else f"a number above {above:g}"
    text = text if least is None else f"a number, {least:g} or more"
    text = text if below == math.inf else f"{text} and below {below:g}"
    low = above if least is None else least

    def accepts(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (low < value or value == least) and value < below

    return Kind(text, accepts)


def choice(*options: str) -> Kind:
    """Return the kind of a value from a fixed list."""
    return Kind(f"{', '.join(options[:-1])} or {options[-1]}", options.__contains__)


def _tables(value: Any) -> bool:
    found = [re.fullmatch(r"(?:table)?\s*(\d+)", str(each)) for each in value] if isinstance(value, list) else [None]
    return all(each is not None and int(each[1]) in range(3, 10) for each in found)


TABLES = Kind("a list of the paper's tables, 3 to 9", _tables)


def _is_count_or_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


ANY = Kind("any value", lambda _: True)
TEXT = Kind("text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
PATH = Kind("a path", lambda value: isinstance(value, str))
NAMES = Kind("a list of names", lambda value: isinstance(value, list))
PATCH = Kind(
    "three whole numbers divisible by 16, such as [80,80,80]",
    lambda value: (
        isinstance(value, list)
        and len(value) == 3
        and all(type(side) is int and side > 0 and side % 16 == 0 for side in value)
    ),
)
SIZES = Kind("a list of whole numbers", lambda value: isinstance(value, list))
NAME = Kind(
    f"a name of at most {LONGEST_NAME} bytes without slashes, not beginning with . , - or +",
    lambda value: is_name(str(value)),
)
FOLD = Kind("the number of a fold or its name", lambda value: type(value) in (int, str))
SHARE = Kind("a whole number of batches, or a share of them", _is_count_or_share)
_MONITOR = re.compile(r"(?:train|val)/loss/\w+|val/(?:dice|auc|acc|score)")
MONITORED = Kind(
    "train/loss/total, val/loss/total or another loss, val/dice, val/auc, val/acc or val/score",
    lambda value: bool(_MONITOR.fullmatch(str(value))),
)


def is_name(text: str) -> bool:
    """Return whether a text is a valid folder name, in any script."""
    is_long = len(text.encode()) > LONGEST_NAME
    is_shown = text.translate(_JOINERS).isprintable() and not set(text) & set("/\\")
    return bool(text.strip()) and is_shown and not is_long and text[0] not in " .,-+"
