"""Audit of a cohort table and its files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from joint_seg_cls.audit.audit import Audit, audit_scans
from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.labels import check_sizes
from joint_seg_cls.audit.raw import measure_row
from joint_seg_cls.audit.rows import Row, read_rows
from joint_seg_cls.parallel import mapped
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
    work = partial(measure_row, lesion_value=lesion_value, mask_geometry=mask_geometry)
    scans = mapped(work, rows, workers=workers, label="check", share=True)
    findings += check_sizes(scans, classes, folds)
    return audit_scans(str(path), scans, classes, findings).with_findings([], accept=accept), rows, scans
