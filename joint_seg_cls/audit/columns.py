"""Columns of a cohort table for site, age, sex and acquisition."""

import re
from collections.abc import Iterable, Sequence

from joint_seg_cls.audit.facts import ScanFacts

_SITE = {"site", "center", "centre", "hospital", "institution", "clinic", "site_id", "center_id", "centre_id"}
_SITE |= {"source", "dataset", "cohort", "institution_name", "institutionname"}
_AGE = {"age", "age_years", "age_at_scan", "age_at_mri", "age_yr", "age_y", "patient_age", "patientage"}
_SEX = {"sex", "gender", "patient_sex", "patientsex"}
#: Words in the names of acquisition columns.
_ACQUISITION = re.compile(
    r"scanner|vendor|manufactur|model|machine|device|field|tesla|coil|protocol|software|sequence|voxel|slice|thick"
    r"|matrix|echo|repetition|inversion|batch|skull|(^|_)(te|tr|ti|fov|station)(_|$)",
    re.IGNORECASE,
)


def site_column(scans: Iterable[ScanFacts]) -> str | None:
    """Return the column of the site."""
    return _first(scans, _SITE)


def age_column(scans: Iterable[ScanFacts]) -> str | None:
    """Return the column of the age."""
    return _first(scans, _AGE)


def sex_column(scans: Iterable[ScanFacts]) -> str | None:
    """Return the column of the sex."""
    return _first(scans, _SEX)


def acquisition_columns(scans: Iterable[ScanFacts]) -> list[str]:
    """Return the acquisition columns in the table's order."""
    return [name for name in all_columns(scans) if _ACQUISITION.search(name)]


def all_columns(scans: Iterable[ScanFacts]) -> list[str]:
    """Return all further columns in the table's order."""
    return list(dict.fromkeys(name for scan in scans for name in scan.columns))


def values(scans: Sequence[ScanFacts], column: str | None) -> list[str]:
    """Return a column's cells, empty if unknown."""
    return [scan.columns.get(column, "") if column is not None else "" for scan in scans]


def numbers(cells: Sequence[str]) -> list[float] | None:
    """Return cells as numbers (NaN if empty), or None if one is not a number or all are empty."""
    try:
        found = [float(cell.replace(",", ".")) if cell else float("nan") for cell in cells]
    except ValueError:
        return None
    return found if any(cells) else None


def _first(scans: Iterable[ScanFacts], names: set[str]) -> str | None:
    return next((name for name in all_columns(scans) if name.strip().lower().replace(" ", "_") in names), None)
