"""The record of an audit of a cohort, its prepared store, or its folds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import write_json
from joint_seg_cls.audit.acquisition import check_levels, check_orientations
from joint_seg_cls.audit.confounding import (
    Confounding,
    check_confounding,
    confounding_from_json,
    measure_confounding,
)
from joint_seg_cls.audit.duplicates import check_duplicates, duplicate_groups
from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import SEVERITIES, Finding, accepted, counted, finding_from_json, worst_first
from joint_seg_cls.audit.labels import check_labels, check_people
from joint_seg_cls.audit.predictors import predictors_of
from joint_seg_cls.audit.tables import Table, acquisition_table, cohort_table, confounding_table, lesion_table

#: Increased when checks change, so that audits of older versions are repeated.
FORMAT = 2


@final
@dataclass(frozen=True)
class Audit:
    """Findings and tables of a cohort or store.

    Attributes:
        source: the cohort table or the store.
        findings: errors first.
        tables: the cohort in tables.
        confounding: how well each predictor alone predicts the disease.
        duplicates: groups of cases with the same scan.
        data_hash: hash of the store's content.
        folds_hash: hash of the folds checked.
    """

    source: str
    scans: int
    subjects: int
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    confounding: tuple[Confounding, ...] = field(default=(), compare=False)
    duplicates: tuple[tuple[str, ...], ...] = ()
    data_hash: str | None = None
    folds_hash: str | None = None

    def of(self, severity: str) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def counts(self) -> str:
        """Return the number of findings, such as ``1 error, 0 warnings, 3 notes``."""
        sizes = [(len(self.of(severity)), severity) for severity in SEVERITIES]
        return ", ".join(f"{size} {name}{'' if size == 1 else 's'}" for size, name in sizes)

    def with_findings(self, more: Sequence[Finding], *, accept: Sequence[str] = (), **changes: Any) -> "Audit":
        """Return this audit with more findings; errors of accepted checks become warnings."""
        findings = tuple(worst_first(accepted([*self.findings, *more], accept)))
        return replace(self, findings=findings, **changes)


def audit_scans(source: str, scans: Sequence[ScanFacts], classes: Sequence[str], more: Sequence[Finding] = ()) -> Audit:
    """Combine the findings of single scans with those from comparing them."""
    predictors = predictors_of(scans)
    confounding = measure_confounding(scans, predictors, classes)
    findings = [
        *more,
        *counted([finding for scan in scans for finding in scan.findings]),
        *check_duplicates(scans),
        *check_people(scans),
        *check_labels(scans),
        *check_confounding(confounding, predictors, scans),
        *check_orientations(scans),
        *check_levels(scans),
    ]
    tables = (
        cohort_table(scans, classes),
        acquisition_table(scans),
        lesion_table(scans, classes),
        confounding_table(confounding),
    )
    return Audit(
        source=source,
        scans=len(scans),
        subjects=len({scan.subject for scan in scans}),
        findings=tuple(worst_first(findings)),
        tables=tables,
        confounding=tuple(confounding),
        duplicates=tuple(tuple(scans[one].case for one in group) for group in duplicate_groups(scans)),
    )


def write_audit(audit: Audit, path: Path) -> None:
    """Write an audit as JSON: ``findings``, ``tables``, ``confounding``, ``duplicates`` and hashes. Atomic."""
    write_json(path, _record(audit))


def write_audits(audits: Sequence[Audit], path: Path) -> None:
    """Write several audits as JSON: all ``findings`` and ``counts``, and the single ``audits``. Atomic."""
    findings = worst_first(finding for audit in audits for finding in audit.findings)
    record = {
        "format": FORMAT,
        "made_with": __version__,
        "counts": _counts(findings),
        "findings": [finding.to_json() for finding in findings],
        "audits": [_record(audit) for audit in audits],
    }
    write_json(path, record)


def _record(audit: Audit) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_with": __version__,
        "source": audit.source,
        "data_hash": audit.data_hash,
        "folds_hash": audit.folds_hash,
        "scans": audit.scans,
        "subjects": audit.subjects,
        "counts": _counts(audit.findings),
        "findings": [finding.to_json() for finding in audit.findings],
        "confounding": [one.to_json() for one in audit.confounding],
        "duplicates": [list(group) for group in audit.duplicates],
        "tables": [table._asdict() for table in audit.tables],
    }


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {f"{name}s": sum(finding.severity == name for finding in findings) for name in SEVERITIES}


def read_audit(path: Path) -> Audit | None:
    """Read the output of :func:`write_audit`; None if it is missing or from another version."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if (record["format"], record["made_with"]) != (FORMAT, __version__):
            return None
        confounding = [confounding_from_json(one) for one in record["confounding"]]
        return Audit(
            source=record["source"],
            scans=record["scans"],
            subjects=record["subjects"],
            findings=tuple(finding_from_json(one) for one in record["findings"]),
            tables=tuple(Table(**one) for one in record["tables"]),
            confounding=tuple(confounding),
            duplicates=tuple(tuple(group) for group in record["duplicates"]),
            data_hash=record["data_hash"],
            folds_hash=record["folds_hash"],
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
