"""The record that ``jsc predict`` writes for a scan, ``<id>.json``; every entry is checked on reading.

Later commands read records, which another program may have written. Names of files in them are plain names, and a file
with an entry of another type is not a record.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from joint_seg_cls.atomic_write import read_json
from joint_seg_cls.errors import is_whole

_Check = Callable[[object], bool]
#: Least determinant of a movement.
_LEAST_CELL = 1e-6
#: Entries that every record has.
_REQUIRED = frozenset({"id", "scan", "brain_volume_ml", "warnings"})
#: Entries of which a record has all or none.
_TOGETHER = (("lesion_count", "lesion_volume_ml"), ("disease", "disease_probability"))


def prediction_record(path: Path) -> dict[str, Any] | None:
    """Return the record written by `jsc predict` to ``path``; None if the file is something else or damaged."""
    record = _content(path)
    return record if record is not None and not _faults(record, path) else None


def is_damaged_record(path: Path) -> bool:
    """Return whether a file has the entries of a record, but one of them is invalid."""
    record = _content(path)
    return record is not None and bool(_faults(record, path))


def _content(path: Path) -> dict[str, Any] | None:
    record = read_json(path)
    return record if record.keys() >= _REQUIRED else None


def _faults(record: Mapping[str, Any], path: Path) -> list[str]:
    if f"{record['id']}.json" != path.name:  # other files are found by this name
        return ["id"]
    missing = [
        name for group in _TOGETHER if not record.keys().isdisjoint(group) for name in group if name not in record
    ]
    return missing + [name for name, is_valid in _ENTRIES.items() if name in record and not is_valid(record[name])]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return is_whole(value, 0)


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_file_name(value: object) -> bool:
    return _is_text(value) and value not in ("", ".", "..") and not {"/", "\0"} & set(str(value))


def _is_move(value: object) -> bool:
    """Return whether a value is an invertible affine of 4 x 4."""
    if not (isinstance(value, list) and all(isinstance(row, list) and all(map(_is_number, row)) for row in value)):
        return False
    return [len(row) for row in value] == [4] * 4 and abs(np.linalg.det(np.array(value, dtype=float))) > _LEAST_CELL


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _list_of(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _mapping_of(check: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _with(**checks: _Check) -> _Check:
    """Return the check of a mapping whose entries of these names, where it has them, fulfil ``checks``."""
    return lambda value: (
        isinstance(value, dict) and all(is_valid(value[name]) for name, is_valid in checks.items() if name in value)
    )


_PROBABILITIES: _Check = lambda value: bool(value) and _mapping_of(_is_number)(value)  # noqa: E731
_NUMBERS: _Check = _mapping_of(_or_null(_is_number))
_ENTRIES: Mapping[str, _Check] = MappingProxyType({
    "id": _is_file_name,
    "scan": _is_file_name,
    "brain_volume_ml": _is_number,
    "warnings": _list_of(_is_text),
    "classes": _list_of(_is_text),
    "lesion_count": _is_count,
    "lesion_volume_ml": _is_number,
    "disease": _is_text,
    "diagnosis": _is_text,
    "reasons": _list_of(_is_text),
    "disease_probability": _PROBABILITIES,
    "uncalibrated_probability": _PROBABILITIES,
    "disease_disagreement": _PROBABILITIES,
    "registration": _or_null(_with(withheld=_or_null(_is_text))),
    "regions": _or_null(_mapping_of(_mapping_of(_is_number))),
    "criteria": _or_null(_mapping_of(_with(value=_is_text, lesions=_list_of(_is_number)))),
    "trust": _or_null(_with(
        grade=_or_null(_is_text), reason=_or_null(_is_text), recovery=_or_null(_mapping_of(_NUMBERS)),
    )),
    "explanation": _or_null(_with(reason=_or_null(_is_text), deletion=_or_null(_is_mapping))),
    "model": _is_mapping,
    "preprocessing": _with(sources=_list_of(_is_text), modalities=_list_of(_with(move=_is_move))),
    "made_from": _with(images=_list_of(_is_text)),
    "cost": _with(seconds=_is_number, peak_memory_mb=_or_null(_is_number)),
    "files": _list_of(_is_file_name),
    "checksums": _mapping_of(_is_text),
})  # fmt: skip
