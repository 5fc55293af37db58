"""Published values of the paper's [1] Tables 3-9, with notes.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, final


@final
@dataclass(frozen=True)
class PublishedRow:
    """A method of a published table.

    Args:
        base: its ablation or network in this project.
        label: as printed.
        values: by metric, in percent; empty if the paper has none.
    """

    base: str
    label: str
    values: Mapping[str, float]


@final
@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper: number, subject, metrics, and methods with the joint model last."""

    number: int
    title: str
    metrics: tuple[str, ...]
    rows: tuple[PublishedRow, ...]

    def notes(self) -> list[str]:
        """Return notes on the published values."""
        notes = ["Published values are means; the paper gives neither spread nor intervals."]
        if "ACC" not in self.metrics:
            return notes
        notes.append("The abstract has ACC 92.36, but all tables have 92.16; 92.16 is used.")
        if outside := [row.label for row in self.rows if _lies_outside(row.values)]:
            notes.append(
                f"Published ACC outside the range of SN and SP ({', '.join(outside)}): impossible for one set of "
                "scans, so these may be means over folds.",
            )
        if unlisted := [row.label for row in self.rows if not row.values]:
            notes.append(
                f"Section 4.3 of the paper mentions {', '.join(unlisted)}; its Table {self.number} has no value."
            )
        return notes


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Return Tables 3-9."""
    return tuple(_table(record) for record in _record()["tables"])


def published_label(base: str) -> str:
    """Return the paper's name of an ablation or network, or its own name if it is not in the paper."""
    printed = {row.base: row.label for table in published_tables() for row in table.rows}
    return printed.get(base, base.replace("_", " "))


def published_heading() -> str:
    """Return the heading of published values for another cohort."""
    return _record()["heading"]


def published_source() -> str:
    """Return the citation of the paper."""
    return _record()["source"]


def published_cohort() -> Sequence[str]:
    """Return the content of the paper's Tables 1 and 2 as sentences."""
    return _record()["cohort"]


@cache
def _record() -> dict[str, Any]:
    return json.loads(files("joint_seg_cls.report").joinpath("published.json").read_text(encoding="utf-8"))


def _table(record: Mapping[str, Any]) -> PublishedTable:
    metrics = tuple(record["metrics"])
    rows = tuple(
        PublishedRow(base, label, dict(zip(metrics, values or (), strict=bool(values))))
        for base, label, values in record["rows"]
    )
    return PublishedTable(record["number"], record["title"], metrics, rows)


def _lies_outside(values: Mapping[str, float]) -> bool:
    if not values:
        return False
    between = sorted((values["SN"], values["SP"]))
    return not between[0] <= values["ACC"] <= between[1]
