"""Possible confounders of the disease: columns of the table, and the grid of each scan."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from joint_seg_cls.audit.columns import (
    acquisition_columns,
    age_column,
    all_columns,
    numbers,
    sex_column,
    site_column,
    values,
)
from joint_seg_cls.audit.facts import ScanFacts

#: A text column with more distinct values, relative to the number of subjects, names people, not groups.
_MOST_VALUES = 0.5
#: Columns that repeat properties of the grid as text.
_GRID = re.compile(r"voxel|matrix|spacing|resolution", re.IGNORECASE)


@final
@dataclass(frozen=True, eq=False)
class Confounder:
    """A property of every scan.

    Attributes:
        name: name in the report.
        kinds: category of each scan, empty if unknown.
        numbers: or numbers of each scan, NaN if unknown.
        is_expected: whether it is a typical confounder (site, scanner, voxel size, age, sex), not an arbitrary column.
        is_acquisition: whether it describes the acquisition.
    """

    name: str
    kinds: Sequence[str]
    numbers: Float[np.ndarray, "scans features"] | None = None
    is_expected: bool = True
    is_acquisition: bool = True

    def of(self, chosen: Sequence[int]) -> tuple[list[str], Float[np.ndarray, "chosen features"] | None]:
        """Return categories and numbers of some scans."""
        return [self.kinds[number] for number in chosen], None if self.numbers is None else self.numbers[list(chosen)]


def predictors_of(scans: Sequence[ScanFacts]) -> list[Confounder]:
    """Return all properties of the scans, typical confounders first."""
    site, age, sex = site_column(scans), age_column(scans), sex_column(scans)
    acquisition = [name for name in acquisition_columns(scans) if name != site]
    people = {name for name in (age, sex) if name is not None}
    ordered = [name for name in (site, *acquisition, age, sex) if name is not None]
    others = [name for name in all_columns(scans) if name not in ordered]
    found = [_of_column(scans, name, True, name not in people, name in (sex, site)) for name in ordered]
    found += _of_grids(scans)
    found += [_of_column(scans, name, False, False, False) for name in others]
    return [predictor for predictor in found if predictor is not None]


def _of_column(
    scans: Sequence[ScanFacts], name: str, is_expected: bool, is_acquisition: bool, is_category: bool
) -> Confounder | None:
    cells = values(scans, name)
    kinds = {cell for cell in cells if cell}
    as_numbers = None if is_category or len(kinds) <= 2 else numbers(cells)
    if len(set(cells)) < 2 or (as_numbers is None and _GRID.search(name) and any(scan.spacing_mm for scan in scans)):
        return None
    if as_numbers is not None:
        return Confounder(name, cells, np.array(as_numbers)[:, None], is_expected, is_acquisition)
    if len(kinds) > _MOST_VALUES * len({scan.subject for scan in scans}):
        return None
    return Confounder(name, cells, None, is_expected, is_acquisition)


def _of_grids(scans: Sequence[ScanFacts]) -> list[Confounder]:
    nothing = [float("nan")] * 3
    found = []
    for name, rows in (
        ("voxel size", [sorted(scan.spacing_mm) or nothing for scan in scans]),
        ("matrix", [sorted(map(float, scan.shape)) or nothing for scan in scans]),
    ):
        table = np.array(rows, dtype=np.float64)
        known = table[~np.isnan(table).any(axis=1)]
        if len(known) and np.ptp(known, axis=0).max() > 0:
            cells = [" x ".join(f"{value:.3g}" for value in row) for row in rows]
            found.append(Confounder(name, cells, table))
    axes = [scan.axes for scan in scans]
    if len(set(axes)) > 1:
        found.append(Confounder("orientation of axes", axes))
    return found
