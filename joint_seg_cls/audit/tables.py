"""Tables of a cohort: patients ([1], Table 1), acquisition ([1], Table 2), and lesions by class.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from joint_seg_cls.audit.columns import acquisition_columns, age_column, numbers, sex_column, site_column, values
from joint_seg_cls.audit.confounding import Confounding
from joint_seg_cls.audit.facts import ScanFacts

UNKNOWN = "unknown"
#: Columns with more distinct values are not shown.
_MOST_VALUES = 12


class Table(NamedTuple):
    """Rows of text under a title; the first column names the row."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


def cohort_table(scans: Sequence[ScanFacts], classes: Sequence[str]) -> Table:
    """Return class by site: subjects, scans, sex and age of subjects (at their first scan), and masks."""
    site = site_column(scans)
    rows = [
        [disease, place, *_people(group, scans)]
        for disease, of_class in _by_class(scans, classes)
        for place, group in _totalled(of_class, lambda scan: scan.columns.get(site or "", "") or UNKNOWN)
        if site is not None or place == "all"
    ]
    if len({scan.disease for scan in scans}) > 1:
        rows.append(["all", "all", *_people(scans, scans)])
    columns = ["disease", site or "site", "subjects", "scans", "sex", "age, years", "with mask"]
    note = "Age and sex are those of subjects at their first scan: mean ± sd (range)."
    return Table("Patients", columns, rows, note)


def acquisition_table(scans: Sequence[ScanFacts]) -> Table:
    """Return the acquisition by site: voxel size, matrix, orientation, and acquisition columns of the table."""
    site = site_column(scans)
    extra = [
        name
        for name in acquisition_columns(scans)
        if name != site and len({scan.columns.get(name) for scan in scans}) <= _MOST_VALUES
    ]
    rows = []
    for place, group in _totalled(list(scans), lambda scan: scan.columns.get(site or "", "") or UNKNOWN):
        if site is None and place != "all":
            continue
        spacing = [sorted(scan.spacing_mm) for scan in group if scan.spacing_mm]
        shape = [scan.shape for scan in group if scan.shape]
        rows.append(
            [
                place,
                str(len(group)),
                _ranges(spacing, "{:.2f}"),
                _ranges([list(map(float, sides)) for sides in shape], "{:.0f}"),
                _commonest([scan.axes for scan in group]),
                *(_commonest(values(group, name)) for name in extra),
            ]
        )
    columns = [site or "site", "scans", "voxel size, mm (sorted)", "matrix", "axes", *extra]
    return Table("Acquisition", columns, rows, "Sizes are medians, with the range if they differ.")


def lesion_table(scans: Sequence[ScanFacts], classes: Sequence[str]) -> Table:
    """Return lesion load and count by class, over scans with a mask."""
    rows = []
    for disease, group in [*_by_class(scans, classes), ("all", list(scans))]:
        drawn = [scan for scan in group if scan.lesion_ml is not None]
        loads = [scan.lesion_ml for scan in drawn if scan.lesion_ml is not None]
        counts = [float(scan.lesion_count) for scan in drawn if scan.lesion_count is not None]
        empty = sum(load == 0 for load in loads)
        rows.append([disease, str(len(drawn)), str(empty), _quartiles(loads, "{:.2f}"), _quartiles(counts, "{:.0f}")])
    columns = ["disease", "scans with a mask", "empty masks", "lesion load, mL", "lesions"]
    return Table("Lesions by class", columns, rows, "Median (quartiles; range). Lesions are 26-connected components.")


def confounding_table(found: Sequence[Confounding]) -> Table:
    """Return how well each predictor alone predicts the disease."""
    rows = [
        [
            one.predictor,
            str(one.scans),
            "too few subjects" if math.isnan(one.auc) else f"{one.auc:.2f}",
            "" if math.isnan(one.auc) else f"{one.low:.2f} to {one.high:.2f}",
            "; ".join(one.pure),
        ]
        for one in found
    ]
    columns = ["predictor", "scans", "AUC", "95 %", "values of one class only"]
    note = (
        "Cross-validated over subjects: 0.5 is chance, 1 is perfect prediction. Intervals are bootstraps over subjects."
    )
    return Table("Confounders of the disease", columns, rows, note)


def _people(group: Sequence[ScanFacts], scans: Sequence[ScanFacts]) -> list[str]:
    first: dict[str, ScanFacts] = {}
    for scan in group:
        first.setdefault(scan.subject, scan)
    subjects = list(first.values())
    years = numbers(values(subjects, age_column(scans))) or []
    known = [year for year in years if not math.isnan(year)]
    missing = len(subjects) - len(known)
    age = _mean(known) + (f"; {missing} {UNKNOWN}" if known and missing else "") if known else UNKNOWN
    sexes = Counter((cell.upper()[:1] or UNKNOWN) for cell in values(subjects, sex_column(scans)))
    sex = ", ".join(f"{count} {name}" for name, count in sorted(sexes.items()))
    masks = sum(scan.has_reference for scan in group)
    return [str(len(subjects)), str(len(group)), sex, age, str(masks)]


def _by_class(scans: Sequence[ScanFacts], classes: Sequence[str]) -> list[tuple[str, list[ScanFacts]]]:
    groups = [(name, [scan for scan in scans if scan.disease == name]) for name in classes]
    unknown = [scan for scan in scans if scan.disease is None]
    return [*groups, *([(UNKNOWN, unknown)] if unknown else [])]


def _totalled(scans: list[ScanFacts], key: Callable[[ScanFacts], str]) -> Iterator[tuple[str, list[ScanFacts]]]:
    """Yield the scans by key, sorted, and finally all scans."""
    keys = sorted({key(scan) for scan in scans})
    for one in keys:
        yield one, [scan for scan in scans if key(scan) == one]
    if len(keys) != 1 or keys == [UNKNOWN]:
        yield "all", scans


def _mean(numbers_: Sequence[float]) -> str:
    spread = f" ± {np.std(numbers_, ddof=1):.1f}" if len(numbers_) > 1 else ""
    return f"{np.mean(numbers_):.1f}{spread} ({min(numbers_):g}-{max(numbers_):g})"


def _quartiles(found: Sequence[float], shown: str) -> str:
    if not found:
        return UNKNOWN
    low, middle, high = (shown.format(value) for value in np.quantile(found, [0.25, 0.5, 0.75]))
    return f"{middle} ({low}-{high}; {shown.format(min(found))}-{shown.format(max(found))})"


def _ranges(rows: Sequence[Sequence[float]], shown: str) -> str:
    if not rows:
        return UNKNOWN
    table = np.array(rows)
    parts = []
    for column in table.T:
        low, middle, high = (shown.format(value) for value in (column.min(), np.median(column), column.max()))
        parts.append(middle if low == high else f"{middle} ({low}-{high})")
    return " x ".join(parts)


def _commonest(cells: Sequence[str]) -> str:
    counts = Counter(cell for cell in cells if cell)
    if not counts:
        return UNKNOWN
    shown = [f"{name} ({count})" if len(counts) > 1 else name for name, count in counts.most_common(4)]
    return ", ".join(shown) + (", ..." if len(counts) > 4 else "")
