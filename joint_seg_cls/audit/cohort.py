"""The audit of a cohort table and of every file that it names."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from joint_seg_cls.audit.audit import Audit, audit_scans
from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.raw import measure_row
from joint_seg_cls.audit.rows import Row, read_rows
from joint_seg_cls.parallel import over_processes
from joint_seg_cls.scan import LesionValue


def audit_cohort(
    path: Path,
    *,
    modalities: Sequence[str],
    classes: Sequence[str],
    lesion_value: LesionValue = None,
    workers: int = 0,
    accept: Sequence[str] = (),
) -> tuple[Audit, list[Row], list[ScanFacts]]:
    """Look at every row and every file, broken ones included; return the audit, the rows, and what each told.

    Raises:
        CohortError: there is no table to look at.
    """
    rows, findings = read_rows(path, modalities=modalities, classes=classes)
    found: dict[int, ScanFacts] = {}
    work = partial(_measure, lesion_value=lesion_value)
    for (number, _), result in over_processes(work, list(enumerate(rows)), workers=workers, label="check"):
        if isinstance(result, Exception):
            raise result
        found[number] = result
    scans = [found[number] for number in range(len(rows))]
    return audit_scans(str(path), scans, classes, findings).with_findings([], accept=accept), rows, scans


def _measure(numbered: tuple[int, Row], *, lesion_value: LesionValue) -> ScanFacts:
    return measure_row(numbered[1], lesion_value)
