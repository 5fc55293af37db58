"""Conversion of command line words to Hydra's grammar."""

from collections.abc import Sequence
from pathlib import Path

from joint_seg_cls.config.grammar import as_value, is_quoted, quoted
from joint_seg_cls.config.schema import NAME_KEYS, PATH_KEYS
from joint_seg_cls.errors import ConfigError

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
