"""Words of ``jsc cohort``: keys other than its own belong to the source, and patterns are text."""

import json
import re

from joint_seg_cls.config.grammar import quoted

#: Keys of the command; all other keys belong to the source.
_OWN = frozenset({"path", "out", "source", "classes", "hydra"})
#: Keys of a source with text values (including braces and stars), unless quoted, null or a mapping.
_TEXT = re.compile(r"\+{0,2}source\.(flair|lesion_mask|lesion_mask_2|brain_mask|t1|t2|pd|labels|key|salt|others\.\w+)")
#: Keys of a source whose value may be a mapping of words.
_MAPPING = re.compile(r"\+{0,2}source\.(labels|names|columns|modalities|others)")
#: A word of a mapping that Hydra reads unchanged.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ .+/-]*|0|-?[1-9][0-9]*")
#: A file pattern is text for every key, so that a misspelt key is reported.
_FILES = re.compile(r"[^\[].*\.nii(\.gz)?", re.IGNORECASE | re.DOTALL)


def for_source(override: str) -> str:
    """Return ``flair=...`` as ``source.flair='...'``; keys of the command and of Hydra are unchanged."""
    key, equals, value = override.partition("=")
    if key.startswith("-") or not (equals or key.startswith("~")):
        return override
    mark, name = re.fullmatch(r"([+~]*)(.*)", key, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    key = key if re.split(r"[./@]", name)[0] in _OWN else f"{mark}source.{name}"
    if value.startswith("{") and _MAPPING.fullmatch(key):
        as_json = _as_json(value)
        return f"{key}={value}" if as_json is None else f"{key}={quoted(as_json)}"
    is_text = _TEXT.fullmatch(key) or (key.startswith(("source.", "+")) and _FILES.fullmatch(value))
    is_text = is_text or not (value.isascii() or value.startswith(("[", "{")))
    if not is_text or value[:1] in ("'", '"') or value in ("", "null") or "${" in value:
        return f"{key}{equals}{value}"
    return f"{key}={quoted(value)}"


def _as_json(value: str) -> str | None:
    """Return a mapping as JSON if Hydra's grammar would refuse or change its words, else None.

    Hydra accepts neither quoted keys nor letters outside ASCII, and reads ``007`` and ``1e5`` as numbers.
    """
    import yaml

    try:
        found = yaml.load(value, Loader=yaml.BaseLoader)  # noqa: S506 - builds only text, lists and mappings
    except yaml.YAMLError:
        return None
    if not isinstance(found, dict) or not all(isinstance(word, str) for item in found.items() for word in item):
        return None
    is_quoted = '"' in value or "'" in value
    is_plain = not is_quoted and all(_PLAIN.fullmatch(word) for item in found.items() for word in item)
    if is_plain or "" in found.values() or ("\\" in value and not is_quoted):
        return None  # Hydra reads it unchanged, or it is written in Hydra's syntax
    meant = {name: None if label in ("null", "~") else label for name, label in found.items()}
    return json.dumps(meant, ensure_ascii=False)
