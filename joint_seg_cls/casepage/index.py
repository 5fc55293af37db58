"""An index of the scans in a folder of predictions: thumbnails, diagnosis, load and warnings, with links to pages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from urllib.parse import quote

from joint_seg_cls.atomic_write import write_text
from joint_seg_cls.casepage.columns import Cell
from joint_seg_cls.casepage.diagnosis import Diagnosis, diagnosis_of
from joint_seg_cls.casepage.render import render
from joint_seg_cls.scan.finder import natural
from joint_seg_cls.scan.prediction_record import prediction_record

#: The icon of a case's page, which the index shows as its thumbnail, is in this first part of the file.
_HEAD = 200_000
_ICON = re.compile(r'<link rel="icon" type="image/jpeg" href="(data:image/jpeg;base64,[A-Za-z0-9+/=]+)">')


@final
@dataclass(frozen=True)
class _Row:
    name: str
    link: str
    thumbnail: str
    diagnosis: Diagnosis | None
    colour: int
    cells: Mapping[str, Cell]


def write_index(folder: Path, *, hide_names: bool = False) -> Path | None:
    """Write ``index.html`` with every scan of ``folder`` that has a record and a page; None if there is none. Atomic.

    Args:
        folder: predictions and their pages.
        hide_names: whether scans are numbered instead of named.
    """
    records = [record for path in folder.glob("*.json") if (record := prediction_record(path)) is not None]
    records = [record for record in records if page_path(folder, str(record["id"])).is_file()]
    if not records:
        return None
    records.sort(key=lambda record: natural(str(record["id"])))
    rows = [_row(folder, record, f"Scan {n}" if hide_names else "") for n, record in enumerate(records, start=1)]
    path = folder / "index.html"
    text = render(
        "index.html.j2",
        rows=rows,
        title=f"{len(rows)} scan{'s' * (len(rows) != 1)}",
        can_classify=any(r.diagnosis for r in rows),
    )
    write_text(path, text)
    return path


def page_path(folder: Path, name: str) -> Path:
    """Return the path of a scan's page; a scan named ``index`` leaves that name to the index of the folder."""
    return folder / ("index_.html" if name == "index" else f"{name}.html")


def _row(folder: Path, record: Mapping[str, Any], hidden: str) -> _Row:
    name, warnings = str(record["id"]), record["warnings"]
    diagnosis = diagnosis_of(record)
    classes = [] if diagnosis is None else [each.name for each in diagnosis.classes]
    page = page_path(folder, name)
    with page.open(encoding="utf-8") as file:
        icon = _ICON.search(file.read(_HEAD))
    count, volume = record.get("lesion_count"), record.get("lesion_volume_ml")
    return _Row(
        name=hidden or name,
        link=quote(page.name),
        thumbnail=icon.group(1) if icon else "",
        diagnosis=diagnosis,
        colour=classes.index(diagnosis.answer) % 6 if diagnosis is not None and diagnosis.answer in classes else -1,
        cells={
            "Lesions": Cell("–", None) if count is None else Cell(str(count), float(count)),
            "Volume (mL)": Cell("–", None) if volume is None else Cell(f"{float(volume):.2f}", float(volume)),
            "Warnings": Cell(str(len(warnings)), float(len(warnings))),
        },
    )
