"""Readable file names for the folds of a cohort."""

import hashlib
import json
import re
from collections.abc import Mapping

_LONGEST = 80


def cut_name(kind: str, choices: Mapping[str, object]) -> str:
    """Return ``kind`` and the other choices, such as ``strict-5_seed-0_validation-0.2``.

    Choices of None or 0 are omitted, except a seed. Unusual characters are replaced and a long name is shortened, with
    an 8-digit hash appended in both cases.
    """
    kept = {key: value for key, value in choices.items() if key == "seed" or value not in (None, 0)}
    parts = [kind, *(f"{key}-{_text(value)}" for key, value in kept.items())]
    name = re.sub(r"[^\w.-]+", "-", "_".join(parts))
    if len(name) <= _LONGEST and name == "_".join(parts):
        return name
    digest = hashlib.sha256(json.dumps([kind, kept], sort_keys=True, default=str).encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}-{digest}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "-".join(f"{key}-{_text(one)}" for key, one in value.items())
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
