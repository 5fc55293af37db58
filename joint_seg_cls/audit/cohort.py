"""Audit of a cohort table and its files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from joint_seg_cls.audit.audit import Audit, audit_scans
from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.labels import check_sizes
from joint_seg_cls.audit.raw import measure_row
from joint_seg_cls.audit.rows import Row, read_rows
from joint_seg_cls.parallel import over_processes
from joint_seg_cls.scan import LesionValue, MaskGeometry


def audit_cohort(
    path: Path,
    *,
    modalities: Sequence[str],
    classes: Sequence[str],
    lesion_value: LesionValue = None,
    mask_geometry: MaskGeometry = "header",
    folds: int = 5,
    workers: int = 0,
    accept: Sequence[str] = (),
) -> tuple[Audit, list[Row], list[ScanFacts]]:
    """Check every row and every file, broken ones included; return the audit, the rows, and the facts of each.

    ``folds`` is the planned number of folds.

    Raises:
        CohortError: the table is missing.
    """
    rows, findings = read_rows(path, modalities=modalities, classes=classes)
    found: dict[int, ScanFacts] = {}
    work = partial(_measure, lesion_value=lesion_value, mask_geometry=mask_geometry)
    for (number, _), result in over_processes(work, list(enumerate(rows)), workers=workers, label="check"):
        if isinstance(result, Exception):
            raise result
        found[number] = result
    scans = [found[number] for number in range(len(rows))]
    findings += check_sizes(scans, classes, folds)
    return audit_scans(str(path), scans, classes, findings).with_findings([], accept=accept), rows, scans


def _measure(numbered: tuple[int, Row], *, lesion_value: LesionValue, mask_geometry: MaskGeometry) -> ScanFacts:
    return measure_row(numbered[1], lesion_value, mask_geometry)
