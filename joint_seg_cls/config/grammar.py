r"""Conversion of command line words to Hydra's override grammar.

The grammar accepts unquoted letters, digits, spaces and ``/ - \ + . $ % * @ ? | : _``. Other characters must be quoted:
letters outside ASCII, ``#``, ``=``, an apostrophe.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from joint_seg_cls.config.schema import NAME_KEYS, PATH_KEYS
from joint_seg_cls.errors import ConfigError

#: Characters of an unquoted word, including escapes.
_PLAIN = re.compile(r"(?:[A-Za-z0-9_ \t/\-+.$%*@?|:]|\\[\\()\[\]{}:=, \t]|\\(?![\\()\[\]{}:=, \t'\"])|\$\{[^}]*\})*")
#: Plain words that the grammar reads as a number, boolean or null.
_NO_TEXT = re.compile(r"[+-]?(?:[\d_.]+(?:e[+-]?[\d_]+)?|inf|nan)|true|false|null", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_ESCAPE = re.compile(r"\\[\\()\[\]{}:=, \t]")
_INTERPOLATION = re.compile(r"\$\{[^}]*\}")
#: Functions of the grammar, and a named argument of a function.
_FUNCTION = re.compile(r"\s*(?:choice|range|interval|tag|glob|sort|shuffle|int|float|str|bool|json_str|extend_list)\s*")
_ARGUMENT = re.compile(r"\s*[A-Za-z_]\w*\s*=", re.ASCII)
_OPENING = {"[": "]", "{": "}", "(": ")"}
#: Further keys with text values: like paths, they may contain spaces, `=`, `,` and brackets, and digits stay text.
_TEXT_KEYS = frozenset({*PATH_KEYS, *NAME_KEYS, "hydra.launcher.logs", "hydra.sweeper.storage"})
#: Hydra's flags whose value is the next word.
_FLAGS_WITH_VALUE = frozenset(
    {"--cfg", "-c", "--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p"}
    | {"--experimental-rerun"}
)
#: Hydra's flags that also accept a value after an equals sign; any other ``--key=value`` sets a key.
_FLAGS_WITH_EQUALS = frozenset(
    {"--cfg", "--config-dir", "--config-name", "--config-path", "--package", "--experimental-rerun", "--info"}
)
#: Values of Hydra's flag --info.
_INFOS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def quoted(text: str) -> str:
    """Return ``text`` as a quoted string."""
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def as_text(text: str) -> str:
    """Return ``text`` quoted unless it is a plain word, so that the grammar reads it as text."""
    is_plain = re.fullmatch(r"[A-Za-z_][\w.+-]*", text, re.ASCII) and not _NO_TEXT.fullmatch(text)
    return text if is_plain else quoted(text)


def as_value(value: str) -> str:
    """Return a value with its words quoted where the grammar requires it.

    Lists, mappings, functions, sweeps, interpolations and quoted strings are unchanged; a value with unmatched brackets
    is quoted as a whole.
    """
    try:
        return _Words(value).until("")
    except _OddKeyError:
        return _as_mapping(value)
    except _UnmatchedError:
        return value if _PLAIN.fullmatch(value) else quoted(value)


def is_quoted(value: str) -> bool:
    """Return whether ``value`` is one quoted string."""
    return bool(_QUOTED.fullmatch(value))


class _UnmatchedError(Exception):
    """An unclosed bracket."""


class _OddKeyError(Exception):
    """A mapping key that the grammar accepts neither plain nor quoted."""


def _as_mapping(value: str) -> str:
    """Return a mapping with arbitrary keys, using the resolver ``mapping``."""
    import yaml

    try:
        content = yaml.safe_load(re.sub(r":(?=[^\s])", ": ", value))
    except yaml.YAMLError:
        return quoted(value)
    return quoted(f"${{mapping:{quoted(json.dumps(content))}}}")


class _Words:
    """Parser of the words of a value."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def until(self, closing: str) -> str:
        """Return the text before ``closing`` with its words quoted where necessary."""
        done, word = "", ""
        while self._at < len(self._text):
            rest = self._text[self._at :]
            here = rest[0]
            if here == closing:
                return done + _word(word)
            token = _ESCAPE.match(rest) or _INTERPOLATION.match(rest) or (None if word.strip() else _QUOTED.match(rest))
            if token:
                word += token[0]
                self._at += token.end()
            elif here in _OPENING and self._opens(here, word):
                self._at += 1
                inner = self.until(_OPENING[here])
                done += f"{word}{here}{inner}{_OPENING[here]}"
                word = ""
                self._at += 1
                self._refuse_word_after_bracket(closing)
            elif here == ":" and closing == "}" and not _PLAIN.fullmatch(word):
                raise _OddKeyError
            elif here == "," or self._ends_key(word + here, closing):
                done += (_word(word) if here == "," else word) + here
                word = ""
                self._at += 1
            else:
                word += here
                self._at += 1
        if closing:
            raise _UnmatchedError
        return done + _word(word)

    def _ends_key(self, word: str, closing: str) -> bool:
        return (closing == "}" and word.endswith(":")) or (closing == ")" and bool(_ARGUMENT.fullmatch(word)))

    def _opens(self, bracket: str, word: str) -> bool:
        return bool(_FUNCTION.fullmatch(word)) if bracket == "(" else not word.strip()

    def _refuse_word_after_bracket(self, closing: str) -> None:
        following = self._text[self._at :].lstrip()[:1]
        if following not in ("", ",", closing):
            raise _UnmatchedError


def _word(word: str) -> str:
    """Return a word between separators, quoted if the grammar requires it."""
    text = word.strip()
    return word if is_quoted(text) or _PLAIN.fullmatch(word) else quoted(text)


def readable(override: str, *, multirun: bool) -> str:
    """Return an override in Hydra's grammar: text quoted, and ``++`` for Trainer arguments."""
    key, equals, value = override.partition("=")
    if not equals or key.startswith("-"):
        return override
    name = key.lstrip("+")
    key = f"++{name}" if name.startswith("trainer.") else key
    is_text = name in _TEXT_KEYS and not _is_grammar(value, multirun=multirun)
    return f"{key}={quoted(value) if is_text else as_value(value)}"


def _is_grammar(value: str, *, multirun: bool) -> bool:
    """Return whether the value of a text key uses the grammar."""
    if is_quoted(value) or "${" in value or value.lower() in ("", "null"):
        return True
    is_listed = value[:1] == "[" and value[-1:] == "]"
    return ("," in value and multirun and not _is_there(value)) or (is_listed and not _is_there(value))


def _is_there(path: str) -> bool:
    """Return whether a path exists, or a parent folder whose name contains a comma."""
    try:
        full = Path(path).expanduser()
        return full.exists() or any("," in parent.name and parent.exists() for parent in full.parents)
    except (OSError, RuntimeError, ValueError):  # too long, unknown home folder, or a null byte
        return False


def without_hyphens(word: str) -> str:
    """Return ``--key=value`` as ``key=value``, and the value ``None`` as ``null``.

    The agent of a W&B sweep writes ``--key=value`` by default.
    """
    key, equals, value = word.partition("=")
    if not equals or not key.startswith("--") or key in _FLAGS_WITH_EQUALS:
        return word
    return f"{key.removeprefix('--')}={'null' if value == 'None' else value}"


def all_readable(words: Sequence[str]) -> list[str]:
    """Return all words in Hydra's grammar; flags and their values are unchanged."""
    multirun = is_multirun(words)
    follows = [False, *(word in _FLAGS_WITH_VALUE for word in words)]
    return [
        word if is_value else readable(word, multirun=multirun) for word, is_value in zip(words, follows, strict=False)
    ]


def refuse_undecodable(words: Sequence[str]) -> None:
    """Refuse words that are not UTF-8, which no text file can store."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = word.encode(errors="replace").decode()
            raise ConfigError(
                "jsc", expected="names in UTF-8", found=shown, remedy="rename the file or folder (convmv does)"
            ) from None


def flags_first(words: Sequence[str]) -> list[str]:
    """Return ``words`` with flags and their values first, since Hydra refuses words after a later flag."""
    flags: list[str] = []
    others: list[str] = []
    takes_value = False
    for word in words:
        if flags and flags[-1] == "--info" and word in _INFOS:  # an optional value
            flags[-1] = f"--info={word}"
            continue
        is_flag = word.startswith("-") and not takes_value
        (flags if is_flag or takes_value else others).append(word)
        takes_value = is_flag and word in _FLAGS_WITH_VALUE
    return ["--info=all" if flag == "--info" else flag for flag in flags] + others


def is_multirun(overrides: Sequence[str]) -> bool:
    """Return whether the words ask for a sweep."""
    return any(override in ("-m", "--multirun") for override in overrides)
