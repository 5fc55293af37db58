r"""Quoting of values for Hydra's override grammar.

The grammar accepts unquoted letters, digits, spaces and ``/ - \ + . $ % * @ ? | : _``. Other characters must be quoted:
letters outside ASCII, ``#``, ``=``, an apostrophe.
"""

import json
import re

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
