"""Side-car of a scan (acquisition parameters), and a check of the shape of a mask."""

import json
from pathlib import Path
from typing import Any

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan.finder import Remark, stem
from joint_seg_cls.scan.header import read_header

#: Larger numbers are neither times in seconds nor field strengths.
_LARGEST = 1e6

#: Column, key of the side-car, and factor from its unit to the column's.
_FACTS = (
    ("field_strength_t", "MagneticFieldStrength", 1.0),
    ("tr_ms", "RepetitionTime", 1000.0),
    ("te_ms", "EchoTime", 1000.0),
    ("ti_ms", "InversionTime", 1000.0),
    ("slice_thickness_mm", "SliceThickness", 1.0),
)


def acquisition(root: Path, scan: Path) -> tuple[dict[str, str], list[Remark]]:
    """Return scanner, field strength and times from the scan's JSON side-car and inherited ones, and remarks."""
    record: dict[str, Any] = {}
    remarks = []
    name = stem(scan.name)
    suffix = name.rsplit("_", 1)[-1]
    for file in (root / f"{suffix}.json", scan.with_name(f"{name}.json")):
        found = read_side_car(file)
        record |= found or {}
        if found is None:
            remarks.append(Remark("side-cars that are not valid JSON", file.name))
    maker, model = (_word(record.get(key)) for key in ("Manufacturer", "ManufacturersModelName"))
    columns = {"manufacturer": maker, "model": model, "scanner": f"{maker} {model}".strip()}
    for column, key, factor in _FACTS:
        value = record.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LARGEST:
            columns[column] = f"{value * factor:g}"
    return {name: text for name, text in columns.items() if text}, remarks


def _word(value: object) -> str:
    """Return a text of a side-car on one line; empty if it is not text."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def same_shape(mask: Path, scan: Path) -> bool:
    """Return whether two volumes have the same dimensions in any order of axes; True if one is unreadable."""
    try:
        return _sides(mask) == _sides(scan)
    except ScanError:
        return True  # the file is refused when its values are needed


def _sides(file: Path) -> list[int]:
    return sorted(read_header(file).grid.shape)


def read_side_car(file: Path) -> dict[str, Any] | None:
    """Return the content of a JSON side-car, empty if there is none; None if it is invalid."""
    try:
        record = json.loads(file.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
