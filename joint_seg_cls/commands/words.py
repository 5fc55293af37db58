"""What a person types, as Hydra's grammar wants it."""

from collections.abc import Sequence
from pathlib import Path

from joint_seg_cls.commands.source_keys import quoted

#: Keys whose values are paths: they may hold spaces, `=`, `,` and brackets without further quoting.
_PATH_KEYS = frozenset(
    {
        "out",
        "path",
        "cohort",
        "store",
        "data.store",
        "data.folds.path",
        "input",
        "brain_mask",
        "checkpoint",
        "run",
        "runs",
        "init_from",
    }
)
#: Hydra's flags that take the next word as their value.
_FLAGS_WITH_VALUE = frozenset(
    {"--cfg", "-c", "--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p"}
    | {"--experimental-rerun"}
)
#: What Hydra's flag --info may show.
_INFOS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_HYDRA_SYNTAX = frozenset(" \t=,[](){}:;#&*%@!?<>|~^`\"'\\$")


def readable(override: str, *, multirun: bool) -> str:
    """Return an override as Hydra's grammar wants it: path values quoted, Trainer arguments free to be new."""
    key, equals, value = override.partition("=")
    if not equals or key.startswith("-"):
        return override
    if key.startswith("trainer."):
        return f"++{override}"
    if key.lstrip("+") not in _PATH_KEYS or not _HYDRA_SYNTAX & set(value) or value[:1] in ("'", '"') or "${" in value:
        return override
    whole = Path(value).expanduser().exists()
    if not whole and ((multirun and "," in value) or (value[:1] == "[" and value[-1:] == "]")):
        return override
    return f"{key}={quoted(value)}"


def flags_first(words: Sequence[str]) -> list[str]:
    """Return ``words`` with flags and their values before the others: Hydra takes no word that follows a later flag."""
    flags: list[str] = []
    others: list[str] = []
    takes_value = False
    for word in words:
        if flags and flags[-1] == "--info" and word in _INFOS:  # its value may be left out
            flags[-1] = f"--info={word}"
            continue
        is_flag = word.startswith("-") and not takes_value
        (flags if is_flag or takes_value else others).append(word)
        takes_value = is_flag and word in _FLAGS_WITH_VALUE
    return ["--info=all" if flag == "--info" else flag for flag in flags] + others


def is_multirun(overrides: Sequence[str]) -> bool:
    """Return whether the words ask for a sweep."""
    return any(override in ("-m", "--multirun") for override in overrides)
