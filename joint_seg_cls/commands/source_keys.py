"""How the command line of ``jsc cohort`` is read: keys that are not its own belong to the source, patterns are text."""

import re

from joint_seg_cls.commands.grammar import quoted

#: The keys of the command itself; every other one is the source's.
_OWN = frozenset({"path", "out", "source", "classes", "hydra"})
#: Keys of a source whose value is text, braces and stars included, unless it is quoted, null or a mapping.
_TEXT = re.compile(r"\+{0,2}source\.(flair|lesion_mask|lesion_mask_2|brain_mask|t1|t2|pd|labels|key|salt|others\.\w+)")
#: A pattern of files is text whatever its key, so that a misspelt key is what is found fault with.
_FILES = re.compile(r"[^\[].*\.nii(\.gz)?", re.IGNORECASE | re.DOTALL)


def for_source(override: str) -> str:
    """Return ``flair=...`` as ``source.flair='...'``, and what is the command's own or Hydra's as it is."""
    key, equals, value = override.partition("=")
    if key.startswith("-") or not (equals or key.startswith("~")):
        return override
    mark, name = re.fullmatch(r"([+~]*)(.*)", key, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    key = key if re.split(r"[./@]", name)[0] in _OWN else f"{mark}source.{name}"
    is_text = _TEXT.fullmatch(key) or (key.startswith(("source.", "+")) and _FILES.fullmatch(value))
    if not is_text or value[:1] in ("'", '"') or value in ("", "null") or "${" in value:
        return f"{key}{equals}{value}"
    if key.endswith(".labels") and value.startswith("{"):
        return f"{key}={value}"
    return f"{key}={quoted(value)}"
