"""Checks of labels and subjects: missing and contradictory labels, implausible people."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from joint_seg_cls.audit.columns import age_column, numbers, sex_column, site_column, values
from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Check, Finding, Severity
from joint_seg_cls.scan import PreparedCase


def check_labels(scans: Sequence[ScanFacts]) -> list[Finding]:
    """Count missing labels, and find subjects with two diseases."""
    no_disease = tuple(scan.case for scan in scans if scan.disease is None)
    no_mask = tuple(scan.case for scan in scans if not scan.has_reference)
    neither = tuple(scan.case for scan in scans if scan.disease is None and not scan.has_reference)
    kinds: tuple[tuple[Severity, str, tuple[str, ...], str], ...] = (
        ("note", "a disease", no_disease, "these train the segmentation only"),
        ("note", "a lesion mask", no_mask, "these train the classification only"),
        ("warning", "a disease or a lesion mask", neither, "these do not contribute to training"),
    )
    findings = [
        Finding(
            severity,
            "labels",
            f"{label} for every scan",
            f"{len(cases)} of {len(scans)} scans without {label}",
            remedy,
            cases,
        )
        for severity, label, cases, remedy in kinds
        if cases
    ]
    empty = tuple(scan.case for scan in scans if scan.lesion_count == 0)
    if empty:
        found = f"{len(empty)} of {len(scans) - len(no_mask)} masks are empty"
        remedy = "no action needed if these have no lesions; DSC is undefined for them"
        findings.append(Finding("note", "labels", "lesions in each mask", found, remedy, empty))
    return findings + _several(
        scans, lambda scan: scan.disease, "error", "labels", "one disease per subject", "correct the table"
    )


def check_sizes(
    scans: Sequence[ScanFacts] | Sequence[PreparedCase], classes: Sequence[str], folds: int
) -> list[Finding]:
    """Warn of classes with fewer subjects than ``folds``; a cohort without any disease is not checked."""
    people: dict[str, set[str]] = {name: set() for name in classes}
    for scan in scans:
        if scan.disease is not None:
            people.setdefault(scan.disease, set()).add(scan.subject)
    if not any(people.values()):
        return []
    return [
        Finding(
            "warning",
            "labels",
            f"at least {folds} subjects of {name}",
            f"{len(own)} subjects of {name} for {folds} folds",
            "collect more" + (f", or use data.folds.count={len(own)}" if len(own) > 1 else ""),
        )
        for name, own in people.items()
        if len(own) < folds
    ]


def check_people(scans: Sequence[ScanFacts]) -> list[Finding]:
    """Report subjects scanned at several sites, with two sexes, or with implausible ages."""
    site, sex, age = site_column(scans), sex_column(scans), age_column(scans)
    findings = []
    if site is not None:
        remedy = "check whether it is one person; leave-one-site-out excludes their scans at other sites from training"
        findings += _several(
            scans, lambda scan: scan.columns.get(site), "warning", "subjects", "each subject at one site", remedy
        )
    if sex is not None:
        findings += _several(
            scans,
            lambda scan: scan.columns.get(sex, "").upper()[:1] or None,
            "warning",
            "subjects",
            "one sex per subject",
            "check whether two people share a name",
        )
    years = numbers(values(scans, age))
    if age is not None and years is not None:
        of: dict[str, list[float]] = defaultdict(list)
        for scan, year in zip(scans, years, strict=True):
            of[scan.subject] += [year] if not math.isnan(year) else []
        wide = {who: (min(ages), max(ages)) for who, ages in of.items() if ages and max(ages) - min(ages) > 20}
        findings += [
            Finding(
                "warning",
                "subjects",
                "visits within 20 years",
                f"{who} at the ages {low:g} and {high:g}",
                "check whether two people share a name",
                tuple(scan.case for scan in scans if scan.subject == who),
            )
            for who, (low, high) in wide.items()
        ]
        findings += _odd_ages(scans, years)
    return findings


def _odd_ages(scans: Sequence[ScanFacts], years: Sequence[float]) -> list[Finding]:
    odd = [(scan.case, year) for scan, year in zip(scans, years, strict=True) if year < 0 or year > 110]
    if not odd:
        return []
    found = ", ".join(f"{year:g}" for _, year in odd[:5])
    remedy = "correct the table, and write unknown ages as empty cells"
    return [
        Finding("warning", "subjects", "ages of 0 to 110", f"ages of {found}", remedy, tuple(case for case, _ in odd))
    ]


def _several(
    scans: Sequence[ScanFacts],
    value: Callable[[ScanFacts], str | None],
    severity: Severity,
    check: Check,
    expected: str,
    remedy: str,
) -> list[Finding]:
    of: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        if found := value(scan):
            of[scan.subject].add(found)
    return [
        Finding(
            severity,
            check,
            expected,
            f"{who} with {' and '.join(sorted(found))}",
            remedy,
            tuple(scan.case for scan in scans if scan.subject == who),
        )
        for who, found in sorted(of.items())
        if len(found) > 1
    ]
