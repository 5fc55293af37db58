"""What stands beside a scan: how it was acquired, and whether a mask has its shape."""

import json
from pathlib import Path
from typing import Any

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan.finder import Remark, stem
from joint_seg_cls.scan.header import read_header

#: A number beyond this is no time in seconds and no field strength.
_LARGEST = 1e6

#: The column, the key of the sidecar, and what turns its unit into the column's.
_FACTS = (
    ("field_strength_t", "MagneticFieldStrength", 1.0),
    ("tr_ms", "RepetitionTime", 1000.0),
    ("te_ms", "EchoTime", 1000.0),
    ("ti_ms", "InversionTime", 1000.0),
    ("slice_thickness_mm", "SliceThickness", 1.0),
)


def acquisition(root: Path, scan: Path) -> tuple[dict[str, str], list[Remark]]:
    """Return scanner, field strength and times from the scan's JSON sidecar and those it inherits from, and remarks."""
    record: dict[str, Any] = {}
    remarks = []
    name = stem(scan.name)
    suffix = name.rsplit("_", 1)[-1]
    for file in (root / f"{suffix}.json", scan.with_name(f"{name}.json")):
        found = read_side_car(file)
        record |= found or {}
        if found is None:
            remarks.append(Remark("side-cars that cannot be read as JSON", file.name))
    maker, model = (_word(record.get(key)) for key in ("Manufacturer", "ManufacturersModelName"))
    columns = {"manufacturer": maker, "model": model, "scanner": f"{maker} {model}".strip()}
    for column, key, factor in _FACTS:
        value = record.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LARGEST:
            columns[column] = f"{value * factor:g}"
    return {name: text for name, text in columns.items() if text}, remarks


def _word(value: object) -> str:
    """Return a side-car's text in one line; anything else is no name of a scanner."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def same_shape(mask: Path, scan: Path) -> bool:
    """Return whether two volumes have the same sides, in any order of the axes; True where one cannot be read."""
    try:
        return _sides(mask) == _sides(scan)
    except ScanError:
        return True  # the file is refused where its values are needed


def _sides(file: Path) -> list[int]:
    return sorted(read_header(file).grid.shape)


def read_side_car(file: Path) -> dict[str, Any] | None:
    """Return what a JSON side-car holds, nothing where there is none; None where it cannot be read."""
    try:
        record = json.loads(file.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
