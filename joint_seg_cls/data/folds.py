"""Which case is trained on, which chooses the checkpoint, and which is tested.

Cases are dealt to folds in blocks. What must stay together (a case, or all cases of a subject) is one unit. The units
of a class are sorted by number of cases and by lesion load and cut into blocks of as many units as there are folds;
every fold gets one unit of each block at random. So a class's units differ by at most one between any two folds, and
load and visits are alike in all of them, which crossing classes with bins of load would not give.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import final

import numpy as np

from joint_seg_cls.data.draws import random_state
from joint_seg_cls.errors import ConfigError, SplitError
from joint_seg_cls.scan import PreparedCase

#: kind: (balanced by disease and lesion load, a subject's scans kept together)
KINDS = {
    "random": (False, False),
    "stratified": (True, False),
    "grouped": (False, True),
    "strict": (True, True),
}

#: Lesion load of a unit without any reference mask: below every real load, so that such units are spread evenly too.
_NO_REFERENCE = -1.0


@final
@dataclass(frozen=True)
class Split:
    """Names of the cases in each part, sorted. ``validation`` may be empty."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def split_hash(self) -> str:
        """Fingerprint of who is in which part; 16 hexadecimal digits."""
        text = json.dumps([sorted(self.train), sorted(self.validation), sorted(self.test)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@final
@dataclass(frozen=True)
class Folds:
    """A way to cut a cohort into folds.

    Args:
        kind: ``random``; ``stratified`` by disease and lesion load; ``grouped`` by subject; ``strict``, which is both.
        count: number of folds.
        seed: seed of the cut. It is not the seed of a training, so that trainings with other seeds test the same cases.
    """

    kind: str = "strict"
    count: int = 5
    seed: int = 0

    def split(self, cases: Sequence[PreparedCase], fold: int, validation_fraction: int | float) -> Split:
        """Return the parts of one fold.

        The validation part is ``validation_fraction`` of the training subjects of each class, at least one where a
        class has two, and always strict, whatever the folds are: no subject stands in both it and the training part.
        It is empty where the fraction is 0.

        Raises:
            SplitError: as :func:`make_folds`; ``fold`` is out of range; a part would be empty.
        """
        folds = make_folds(cases, self.kind, self.count, self.seed)
        where = _where(cases)
        if not 0 <= fold < self.count:
            raise SplitError(
                where,
                expected=f"a fold from 0 to {self.count - 1}",
                found=f"fold={fold}",
                remedy="choose another fold, or raise data.folds.count",
            )
        if not 0 <= validation_fraction < 1:
            raise SplitError(
                where,
                expected="a validation fraction of at least 0 and below 1",
                found=f"data.validation_fraction={validation_fraction:g}",
                remedy="set data.validation_fraction=0.2, or 0 for none",
            )
        test = set(folds[fold])
        rest = [case for case in cases if case.case not in test]
        validation = set(_hold_out(rest, validation_fraction, self.seed, fold)) if validation_fraction else set()
        if validation_fraction and not validation:
            raise SplitError(
                where,
                expected="a class with at least two subjects outside the test fold, one of them for validation",
                found=f"{len(rest)} cases for training and validation together",
                remedy="prepare more subjects, or set data.validation_fraction=0",
            )
        train = tuple(sorted(case.case for case in rest if case.case not in validation))
        return Split(train, tuple(sorted(validation)), tuple(sorted(test)))


def make_folds(cases: Sequence[PreparedCase], kind: str, count: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Return the names of the test cases of each fold. The order of ``cases`` does not matter.

    Scans without a known disease are a class of their own, which may be smaller than the number of folds; within each
    class, scans without a reference mask are spread over the folds like a lesion load of their own.

    Raises:
        ConfigError: ``kind`` is none of :data:`KINDS`.
        SplitError: there is no case; ``count`` is below 2, or above the number of subjects (of cases, where ``kind``
            does not group) of the smallest class.
    """
    if kind not in KINDS:
        raise ConfigError("data.folds.kind", expected=f"one of {', '.join(KINDS)}", found=kind, remedy="correct it")
    stratified, grouped = KINDS[kind]
    if not cases:
        raise SplitError("folds", expected="at least one case", found="none", remedy="prepare the cohort first")
    _refuse_too_many(cases, count, grouped=grouped)
    random = random_state("folds", kind, count, seed)
    folds: list[list[str]] = [[] for _ in range(count)]
    for stratum in _strata(_units(cases, stratified=stratified, grouped=grouped), random):
        for start in range(0, len(stratum), count):
            block = stratum[start : start + count]
            block = sorted((block[i] for i in random.permutation(len(block))), key=lambda unit: -len(unit.cases))
            ties = random.permutation(count)
            smallest_first = sorted(range(count), key=lambda index: (len(folds[index]), ties[index]))
            for index, unit in zip(smallest_first, block, strict=False):
                folds[index] += unit.cases
    return tuple(tuple(sorted(fold)) for fold in folds)


@final
@dataclass(frozen=True)
class _Unit:
    """Cases that stay together."""

    cases: tuple[str, ...]
    stratum: str
    lesion_load: float


def _units(cases: Sequence[PreparedCase], *, stratified: bool, grouped: bool) -> list[_Unit]:
    members: dict[str, list[PreparedCase]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.case):
        members[case.subject if grouped else case.case].append(case)
    return [
        _Unit(
            cases=tuple(case.case for case in together),
            stratum=_disease(together) if stratified else "",
            lesion_load=_lesion_load(together) if stratified else _NO_REFERENCE,
        )
        for _, together in sorted(members.items())
    ]


def _strata(units: list[_Unit], random: np.random.RandomState) -> list[list[_Unit]]:
    """Return the units class by class, those with many cases first and then by lesion load, ties at random."""
    shuffled = [units[i] for i in random.permutation(len(units))]
    ordered = sorted(shuffled, key=lambda unit: (unit.stratum, -len(unit.cases), unit.lesion_load))
    return [list(stratum) for _, stratum in groupby(ordered, key=lambda unit: unit.stratum)]


def _hold_out(cases: Sequence[PreparedCase], fraction: int | float, seed: int, fold: int) -> list[str]:
    random = random_state("validation", fraction, seed, fold)
    held_out: list[str] = []
    for stratum in _strata(_units(cases, stratified=True, grouped=True), random):
        wanted = min(max(1, round(fraction * len(stratum))), len(stratum) - 1)
        for block in np.array_split(np.arange(len(stratum)), wanted) if wanted else []:
            held_out += stratum[int(random.choice(block))].cases
    return held_out


def _disease(cases: Sequence[PreparedCase]) -> str:
    """Return the commonest known disease of a unit (the first by name where two are), empty where none is known."""
    known = Counter(sorted(case.disease for case in cases if case.disease is not None))
    return known.most_common(1)[0][0] if known else ""


def _lesion_load(cases: Sequence[PreparedCase]) -> float:
    """Return the mean number of lesion voxels over the cases that have a reference."""
    masks = (case.lesion_mask() for case in cases)
    loads = [int(np.count_nonzero(mask.view(bool))) for mask in masks if mask is not None]
    return float(np.mean(loads)) if loads else _NO_REFERENCE


def _refuse_too_many(cases: Sequence[PreparedCase], count: int, *, grouped: bool) -> None:
    units = _units(cases, stratified=False, grouped=grouped)
    by_name = {case.case: case for case in cases}
    sizes = Counter(_disease([by_name[name] for name in unit.cases]) for unit in units)
    of_class = {disease: size for disease, size in sizes.items() if disease}
    smallest = min(sorted(of_class), key=lambda disease: of_class[disease], default="")
    most = of_class.get(smallest, len(units))
    if 2 <= count <= most:
        return
    things = "subjects" if grouped else "cases"
    limit = f"{things} of the smallest class, {smallest}" if smallest else things
    raise SplitError(
        _where(cases),
        expected=f"at least 2 folds and at most {most}, the number of {limit}",
        found=f"data.folds.count={count}",
        remedy=f"set data.folds.count={min(most, 5)}" if most >= 2 else f"prepare more {limit}",
    )


def _where(cases: Sequence[PreparedCase]) -> Path:
    return cases[0].folder.parent
