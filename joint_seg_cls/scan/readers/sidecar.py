"""What stands beside a scan: how it was acquired, and whether a mask has its shape."""

import json
from pathlib import Path
from typing import Any

from joint_seg_cls.errors import ScanError
from joint_seg_cls.scan.header import read_header

#: The column, the key of the sidecar, and what turns its unit into the column's.
_FACTS = (
    ("field_strength_t", "MagneticFieldStrength", 1.0),
    ("tr_ms", "RepetitionTime", 1000.0),
    ("te_ms", "EchoTime", 1000.0),
    ("ti_ms", "InversionTime", 1000.0),
    ("slice_thickness_mm", "SliceThickness", 1.0),
)


def acquisition(root: Path, scan: Path) -> dict[str, str]:
    """Return scanner, field strength and times from the scan's JSON sidecar and those it inherits from."""
    record: dict[str, Any] = {}
    stem = scan.name.removesuffix(".gz").removesuffix(".nii")
    suffix = stem.rsplit("_", 1)[-1]
    for file in (root / f"{suffix}.json", scan.with_name(f"{stem}.json")):
        record |= _read(file)
    maker, model = (str(record.get(key) or "").strip() for key in ("Manufacturer", "ManufacturersModelName"))
    columns = {"manufacturer": maker, "model": model, "scanner": f"{maker} {model}".strip()}
    for column, key, factor in _FACTS:
        value = record.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            columns[column] = f"{value * factor:g}"
    return {name: text for name, text in columns.items() if text}


def same_shape(mask: Path, scan: Path) -> bool:
    """Return whether two volumes have the same sides, in any order of the axes; True where one cannot be read."""
    try:
        return _sides(mask) == _sides(scan)
    except ScanError:
        return True  # the file is refused where its values are needed


def _sides(file: Path) -> list[int]:
    return sorted(read_header(file).grid.shape)


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
