"""Leakage: subjects or scans in both training and test of a fold."""

from collections.abc import Mapping, Sequence
from typing import Literal

from joint_seg_cls.audit.finding import Check, Finding
from joint_seg_cls.data import FoldName, Split, leaking_subjects
from joint_seg_cls.errors import examples
from joint_seg_cls.scan import PreparedCase

_CHECK: Check = "leakage"


def check_leakage(
    splits: Mapping[FoldName, Split],
    cases: Sequence[PreparedCase],
    duplicates: Sequence[Sequence[str]],
    *,
    name: str,
    severity: Literal["error", "warning"],
) -> list[Finding]:
    """Check every fold of a split.

    Args:
        duplicates: groups of cases with the same scan.
        name: name of the split, for messages.
        severity: severity of a subject on two sides: an error, or a warning if the split allows it.
    """
    leaking = {fold: found for fold, split in splits.items() if (found := leaking_subjects(split, cases))}
    findings = []
    if leaking:
        people = sorted({who for found in leaking.values() for who in found})
        visits = tuple(case.case for case in cases if case.subject in people)
        findings.append(
            Finding(
                severity,
                _CHECK,
                "every subject on one side of each fold",
                f"{len(people)} subjects ({examples(people, 5)}) with "
                f"{len(visits)} scans on both sides in {len(leaking)} of {len(splits)} folds of {name}: scores on "
                "their scans are biased upwards",
                "use protocol=strict, or data.folds.kind=grouped, for numbers that hold for new patients",
                visits,
            )
        )
    for group in duplicates:
        apart = [fold for fold, split in splits.items() if len(_sides(split, group)) > 1]
        if apart:
            findings.append(
                Finding(
                    "error",
                    _CHECK,
                    "each scan on one side of each fold",
                    f"the same scan as {' and '.join(group)} on both sides of fold {', '.join(map(str, apart))} of "
                    f"{name}",
                    "leave one of them in the cohort",
                    tuple(group),
                )
            )
    return findings


def _sides(split: Split, group: Sequence[str]) -> set[str]:
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {part for part, names in parts.items() if set(group) & set(names)}
