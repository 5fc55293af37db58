"""Columns of the lesion table on a page: their order, headings and digits."""

from dataclasses import dataclass
from typing import final

import pandas as pd

_VOLUME = "Volume (mL)"
#: Heading and digits of a column; the order is that of the page. Others follow under their own names.
_KNOWN = {
    "region": ("Region", None),
    "volume_ml": (_VOLUME, 2),
    "mean_probability": ("Mean prob.", 2),
    "max_probability": ("Max. prob.", 2),
    "uncertainty": ("SD of prob.", 2),
    "disagreement": ("Disagreement", 2),
    "diagnosis_share": ("Share of score (%)", 1),
    "diagnosis_sum": ("Net score", 2),
    "distance_to_ventricle_mm": ("Ventricle (mm)", 1),
    "distance_to_cortex_mm": ("Cortex (mm)", 1),
}
#: Columns that are shown in percent.
_SHARES = {"diagnosis_share"}
#: With more columns than this, the centre is left to the viewer.
_MOST_WITH_CENTRE = 8
#: Columns for other programs: geometry that the viewer shows.
_LEFT_OUT = {"voxels", "long_mm", "middle_mm", "short_mm", "fill", "direction_x", "direction_y", "direction_z",
             "near_cortex", "inferior_temporal", "at_ventricle_body", "away_x", "away_y", "away_z"}  # fmt: skip
_CENTROID = tuple(f"centroid_{axis}_mm" for axis in "xyz")


@final
@dataclass(frozen=True)
class Cell:
    """A cell: what is shown, and the value that the column is sorted by (None: always last)."""

    text: str
    value: float | str | None


@final
@dataclass(frozen=True)
class LesionColumns:
    """The lesion table as text: headings, whether each column holds numbers, and the rows; the first cell is the id."""

    headings: tuple[str, ...]
    is_number: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def largest_first(self) -> list[tuple[int, tuple[Cell, ...]]]:
        """The rows with their numbers from 1, by decreasing volume."""
        numbered = list(enumerate(self.rows, start=1))
        if _VOLUME not in self.headings:
            return numbered
        column = self.headings.index(_VOLUME)
        return sorted(numbered, key=lambda row: -float(row[1][column].value or 0.0))


def lesion_columns(table: pd.DataFrame) -> LesionColumns:
    """Return the columns of a lesion table (cells as text) for a page."""
    if not len(table):
        return LesionColumns((), (), ())
    first = str(table.columns[0])
    names = [name for name in _KNOWN if name in table.columns]
    names += [
        str(name)
        for name in table.columns[1:]
        if name not in _KNOWN and name not in _LEFT_OUT and name not in _CENTROID
    ]
    parts = [("Lesion", _cells(table[first], None))]
    parts += [
        (_KNOWN[name][0] if name in _KNOWN else name.replace("_", " "), _cells(table[name], _digits(name)))
        for name in names
    ]
    parts = [(heading, cells) for heading, cells in parts if any(cell.value is not None for cell in cells)]
    if set(_CENTROID) <= set(table.columns) and len(parts) < _MOST_WITH_CENTRE:
        parts.append(("Centre x, y, z (mm)", _positions(table)))
    columns = [cells for _, cells in parts]
    is_number = tuple(any(isinstance(cell.value, float) for cell in cells) for cells in columns)
    return LesionColumns(tuple(heading for heading, _ in parts), is_number, tuple(zip(*columns, strict=True)))


def _digits(name: str) -> int | None:
    return _KNOWN[name][1] if name in _KNOWN else None


def _cells(column: pd.Series, digits: int | None) -> list[Cell]:
    factor = 100 if column.name in _SHARES else 1
    return [_cell(str(value), digits, factor) for value in column]


def _cell(text: str, digits: int | None, factor: int) -> Cell:
    if text in ("", "nan"):
        return Cell("–", None)
    try:
        number = factor * float(text)
    except ValueError:
        return Cell(text.replace("_", " "), text)
    if digits is None:
        return Cell(text, number)
    shown = f"{number:.{digits}f}"
    return Cell(f"{number:.{digits + 1}f}" if float(shown) == 0 and number else shown, number)


def _positions(table: pd.DataFrame) -> list[Cell]:
    numbers = table[list(_CENTROID)].apply(pd.to_numeric, errors="coerce")
    return [Cell(", ".join(f"{value:.0f}" for value in row), float(row[2])) for row in numbers.to_numpy(dtype=float)]
