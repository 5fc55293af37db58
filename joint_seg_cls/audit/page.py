"""The audit as an HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from joint_seg_cls import __version__
from joint_seg_cls.audit.audit import Audit
from joint_seg_cls.audit.finding import SEVERITIES, Finding, worst_first
from joint_seg_cls.audit.tables import Table
from joint_seg_cls.data import FoldName, Split
from joint_seg_cls.pictures import Count, Picture, Section, write_page
from joint_seg_cls.scan import PreparedCase

_COLUMNS = ("severity", "check", "where", "expected", "found", "remedy")


def write_audit_page(audits: Sequence[tuple[Audit, Sequence[Table], Sequence[Picture]]], path: Path) -> None:
    """Write the findings in a cohort, its store, or both, with further tables and pictures."""
    findings = worst_first(finding for audit, _, _ in audits for finding in audit.findings)
    sections = [_findings(findings)]
    for audit, tables, pictures in audits:
        head = f"{audit.source}: " if len(audits) > 1 else ""
        sections += [
            Section(f"{head}{table.title}", columns=table.columns, rows=table.rows, note=table.note)
            for table in (*audit.tables, *tables)
            if table.rows
        ]
        sections += [_pictures(head, audit, pictures)] if pictures else []
    first = audits[0][0]
    counts = [Count(first.scans, "scans"), Count(first.subjects, "subjects")]
    counts += [
        Count(size, name if size == 1 else f"{name}s", name if size else "")
        for name in SEVERITIES
        for size in [sum(finding.severity == name for finding in findings)]
    ]
    write_page(
        path,
        title=f"Audit of {Path(first.source).name}",
        subtitle="; ".join(_of_what(audit) for audit, _, _ in audits),
        sections=sections,
        counts=counts,
        footer=f"jsc check, joint_seg_cls {__version__}. Errors stop training; warnings are repeated in every later "
        "report. Not for clinical use.",
    )


def folds_table(splits: Mapping[FoldName, Split], cases: Sequence[PreparedCase], name: str, folds_hash: str) -> Table:
    """Return the scans of each fold by part and class, and its tested subjects."""
    disease = {case.case: case.disease or "unknown" for case in cases}
    subject = {case.case: case.subject for case in cases}
    classes = sorted(set(disease.values()))
    rows = []
    for fold, split in splits.items():
        row = [str(fold)]
        for part in (split.train, split.validation, split.test):
            sizes = [f"{sum(disease.get(one) == kind for one in part)} {kind}" for kind in classes]
            row.append(f"{len(part)} ({', '.join(sizes)})" if part else "none")
        rows.append([*row, str(len({subject.get(one, one) for one in split.test})), split.split_hash])
    columns = ["fold", "train", "validation", "test", "subjects tested", "hash"]
    return Table(f"Folds: {name}", columns, rows, f"Hash of all folds, as quoted in runs and reports: {folds_hash}.")


def _findings(findings: Sequence[Finding]) -> Section:
    rows = [[one.severity, one.check, one.where, one.expected, one.found, one.remedy] for one in findings]
    lines = [] if rows else ["No findings."]
    return Section("Findings", lines=lines, columns=_COLUMNS, rows=rows)


def _pictures(head: str, audit: Audit, pictures: Sequence[Picture]) -> Section:
    shown = "All cases" if len(pictures) == audit.scans else f"{len(pictures)} of {audit.scans} cases, suspicious first"
    lines = [
        f"{shown}: axial slices with most lesion; lesions outlined in orange, the brain in blue if known. "
        "The left of the head is on the left, according to the header."
    ]
    return Section(f"{head}Pictures", lines=lines, pictures=pictures)


def _of_what(audit: Audit) -> str:
    data = f", data {audit.data_hash}" if audit.data_hash else ""
    return f"{audit.source}: {audit.scans} scans of {audit.subjects} subjects{data}"
