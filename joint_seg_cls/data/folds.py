"""Folds of cross-validation.

A unit is a case, or all cases of a subject. The units of a class are sorted by number of cases and by lesion load and
divided into blocks of as many units as there are folds; the units of a block are distributed to the folds at random.
The number of units of a class then differs by at most one between folds, and lesion load and visits are balanced, which
stratifying by class and bins of load would not achieve.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from joint_seg_cls.data.cut_name import cut_name
from joint_seg_cls.data.draws import random_state
from joint_seg_cls.data.held_out import HeldOut, held_out_cases
from joint_seg_cls.data.split import HELD_OUT, FoldName, Split, pick, where_of, with_validation
from joint_seg_cls.data.units import disease_of_unit, make_units, strata
from joint_seg_cls.errors import SplitError, require_choice
from joint_seg_cls.scan import PreparedCase

Kind = Literal["random", "stratified", "grouped", "strict"]
#: For each kind: balanced by disease and lesion load; scans of a subject together.
KINDS: dict[Kind, tuple[bool, bool]] = {
    "random": (False, False),
    "stratified": (True, False),
    "grouped": (False, True),
    "strict": (True, True),
}


@final
@dataclass(frozen=True)
class Folds:
    """Random folds of a cohort.

    Args:
        kind: ``random``; ``stratified`` by disease and lesion load; ``grouped`` by subject; ``strict``, which is both.
        count: number of folds.
        seed: seed of the folds, independent of the training's seed, so that trainings with different seeds test the
            same cases.
        held_out: cases excluded from all folds, selected first: a share of the subjects of each class, or a column and
            its value. ``fold=held_out`` trains on all other cases and tests these.
    """

    kind: Kind = "strict"
    count: int = 5
    seed: int = 0
    held_out: HeldOut = None

    def splits(self, cases: Sequence[PreparedCase], validation_fraction: int | float) -> dict[FoldName, Split]:
        """Return the parts of every fold.

        Raises:
            SplitError: as :func:`make_folds`, :func:`held_out_cases` and :func:`with_validation`.
        """
        held_out = set(held_out_cases(cases, self.held_out, self.seed))
        others = [case for case in cases if case.case not in held_out]
        made = make_folds(others, self.kind, self.count, self.seed, small_classes=True)
        folds: Mapping[FoldName, Sequence[str]] = dict(enumerate(made))
        share = {"fraction": validation_fraction, "seed": self.seed}
        splits = {fold: with_validation(others, test, **share, fold=fold) for fold, test in folds.items()}
        if held_out:
            splits[HELD_OUT] = with_validation(cases, held_out, **share, fold=HELD_OUT, isolate=True)
        return splits

    def refuse_small_classes(self, cases: Sequence[PreparedCase]) -> None:
        """Refuse folds that test no case of a class, for a network that learns the disease.

        Raises:
            SplitError: as :func:`make_folds` without ``small_classes``.
        """
        held_out = set(held_out_cases(cases, self.held_out, self.seed))
        _refuse_too_many([case for case in cases if case.case not in held_out], self.count, grouped=KINDS[self.kind][1])

    def split(self, cases: Sequence[PreparedCase], fold: FoldName, validation_fraction: int | float) -> Split:
        """Return the parts of one fold.

        Raises:
            SplitError: as :meth:`splits` and :func:`pick`.
        """
        return pick(self.splits(cases, validation_fraction), fold, cases, validation_fraction)

    def settings(self, validation_fraction: int | float) -> dict[str, object]:
        """Return all settings that determine the folds."""
        return {
            "kind": self.kind,
            "count": self.count,
            "seed": self.seed,
            "held_out": self.held_out,
            "validation_fraction": validation_fraction,
        }

    def name(self, validation_fraction: int | float) -> str:
        """Return a name such as ``strict-5_seed-0_validation-0.2``."""
        return cut_name(
            f"{self.kind}-{self.count}",
            {"seed": self.seed, "held-out": self.held_out, "validation": validation_fraction},
        )


def make_folds(
    cases: Sequence[PreparedCase], kind: Kind, count: int, seed: int, *, small_classes: bool = False
) -> tuple[tuple[str, ...], ...]:
    """Return the names of the test cases of each fold. The order of ``cases`` does not matter.

    Scans without a known disease form a separate class, which may be smaller than the number of folds. Scans without a
    reference mask are treated as having one lesion load. With ``small_classes`` any class may be smaller than the
    number of folds; some folds then do not test it.

    Raises:
        ConfigError: ``kind`` is none of :data:`KINDS`.
        SplitError: there is no case; ``count`` is below 2, or above the number of subjects (of cases, where ``kind``
            does not group) of the smallest class (of all, with ``small_classes``).
    """
    require_choice("data.folds.kind", kind, Kind)
    stratified, grouped = KINDS[kind]
    if not cases:
        raise SplitError("folds", expected="at least one case", found="none", remedy="prepare the cohort first")
    _refuse_too_many(cases, count, grouped=grouped, small_classes=small_classes)
    random = random_state("folds", kind, count, seed)
    folds: list[list[str]] = [[] for _ in range(count)]
    for stratum in strata(make_units(cases, stratified=stratified, grouped=grouped), random):
        for start in range(0, len(stratum), count):
            block = stratum[start : start + count]
            block = sorted((block[i] for i in random.permutation(len(block))), key=lambda unit: -len(unit.cases))
            ties = random.permutation(count)
            smallest_first = sorted(range(count), key=lambda index: (len(folds[index]), ties[index]))
            for index, unit in zip(smallest_first, block, strict=False):
                folds[index] += unit.cases
    return tuple(tuple(sorted(fold)) for fold in folds)


def _refuse_too_many(cases: Sequence[PreparedCase], count: int, *, grouped: bool, small_classes: bool = False) -> None:
    units = make_units(cases, stratified=False, grouped=grouped)
    by_name = {case.case: case for case in cases}
    sizes = Counter(disease_of_unit([by_name[name] for name in unit.cases]) for unit in units)
    known = {disease: size for disease, size in sizes.items() if disease}
    of_class = {} if small_classes else known
    smallest = min(sorted(of_class), key=lambda disease: of_class[disease], default="")
    most = of_class.get(smallest, len(units))
    if 2 <= count <= most:
        return
    things = "subjects" if grouped else "cases"
    limit = f"{things} of the smallest class, {smallest}" if smallest else things
    raise SplitError(
        where_of(cases),
        expected=f"at least 2 folds and at most {most}, the number of {limit}",
        found=f"data.folds.count={count}",
        remedy=f"set data.folds.count={_advised(most, known)}" if most >= 2 else f"prepare more {limit}",
    )


def _advised(most: int, of_class: Mapping[str, int]) -> int:
    """Return a number of folds for which, if possible, every fold has every class."""
    return min(most, 5, *(size for size in of_class.values() if size >= 2))
