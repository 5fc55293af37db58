"""Rules for folds: no missing case, no subject in two parts, no part without a class."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from joint_seg_cls.data.split import HELD_OUT, FoldName, Split
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import PreparedCase

#: Violations that a user may allow in a split file.
ALLOWABLE = ("leakage", "unknown_cases", "missing_cases", "empty_class")


def leaking_subjects(split: Split, cases: Sequence[PreparedCase]) -> dict[str, tuple[str, ...]]:
    """Return the subjects that are in several parts of a fold, with the names of those parts."""
    subject = {case.case: case.subject for case in cases}
    sides: dict[str, set[str]] = defaultdict(set)
    for part in ("train", "validation", "test"):
        names: tuple[str, ...] = getattr(split, part)
        for name in names:
            sides[subject.get(name, name)].add(part)
    return {who: tuple(sorted(parts)) for who, parts in sorted(sides.items()) if len(parts) > 1}


def empty_classes(split: Split, cases: Sequence[PreparedCase]) -> dict[str, list[str]]:
    """Return the parts of a fold that lack a class of the cohort, with the classes they lack."""
    disease = {case.case: case.disease for case in cases}
    classes = sorted({name for name in disease.values() if name is not None})
    lacking = {}
    for part in ("train", "validation", "test"):
        names = getattr(split, part)
        there = {disease.get(name) for name in names}
        if names and (absent := [name for name in classes if name not in there]):
            lacking[part] = absent
    return lacking


def check_splits(
    splits: Mapping[FoldName, Split], cases: Sequence[PreparedCase], where: Path, *, allow: Sequence[str]
) -> None:
    """Refuse folds that break a rule, unless ``allow`` lists it (see :data:`ALLOWABLE`).

    Raises:
        SplitError: a case of the store is in no part of a fold; a subject is in two parts; a part lacks a class.
    """
    held_out = set(splits[HELD_OUT].test) if HELD_OUT in splits else set()
    for fold, split in splits.items():
        named = {*split.train, *split.validation, *split.test}
        expected = {case.case for case in cases} - (set() if fold == HELD_OUT else held_out)
        missing, early = sorted(expected - named), sorted((named & held_out) if fold != HELD_OUT else ())
        if early:
            raise _refusal(where, f"held-out cases in no other fold, found {early[0]} in fold {fold}", "take them out")
        if missing and "missing_cases" not in allow:
            raise _refusal(
                where,
                f"every case of the store in fold {fold}, found {len(missing)} in none of its parts ({_few(missing)})",
                "name them, or leave them out with data.folds.allow=[missing_cases]",
            )
        leaking = leaking_subjects(split, cases)
        if leaking and "leakage" not in allow:
            named = [f"{who} in {' and '.join(parts)}" for who, parts in leaking.items()]
            raise _refusal(
                where,
                f"every subject on one side of fold {fold}, found {len(leaking)} on two ({_few(named)})",
                "keep a subject's scans together, or accept the leakage with data.folds.allow=[leakage]",
            )
        lacking = empty_classes(split, cases)
        if lacking and "empty_class" not in allow:
            part, classes = next(iter(lacking.items()))
            raise _refusal(
                where,
                f"scans of every class in each part of fold {fold}, found no {' and no '.join(classes)} in {part}",
                "move some there, or set data.folds.allow=[empty_class]",
            )


def _few(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _refusal(where: Path, rule: str, remedy: str) -> SplitError:
    expected, _, found = rule.partition(", found ")
    return SplitError(where, expected=expected, found=found, remedy=remedy)
