"""Units of folds: cases that stay together, with class and lesion load."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import final

import numpy as np

from joint_seg_cls.scan import PreparedCase

#: Lesion load of a unit without reference masks: below every real load, so that such units are also distributed evenly.
_NO_REFERENCE = -1.0


@final
@dataclass(frozen=True)
class Unit:
    """Cases that stay together."""

    cases: tuple[str, ...]
    stratum: str
    lesion_load: float


def make_units(cases: Sequence[PreparedCase], *, stratified: bool, grouped: bool) -> list[Unit]:
    """Return the cases as units (by subject if ``grouped``), with class and lesion load if ``stratified``."""
    members: dict[str, list[PreparedCase]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.case):
        members[case.subject if grouped else case.case].append(case)
    return [
        Unit(
            cases=tuple(case.case for case in together),
            stratum=disease_of_unit(together) if stratified else "",
            lesion_load=_lesion_load(together) if stratified else _NO_REFERENCE,
        )
        for _, together in sorted(members.items())
    ]


def strata(units: list[Unit], random: np.random.RandomState) -> list[list[Unit]]:
    """Return the units by class, sorted by decreasing number of cases and by lesion load, with random order of ties."""
    shuffled = [units[i] for i in random.permutation(len(units))]
    ordered = sorted(shuffled, key=lambda unit: (unit.stratum, -len(unit.cases), unit.lesion_load))
    return [list(stratum) for _, stratum in groupby(ordered, key=lambda unit: unit.stratum)]


def hold_out(cases: Sequence[PreparedCase], fraction: int | float, random: np.random.RandomState) -> list[str]:
    """Return the cases of ``fraction`` of the subjects of each class, stratified by lesion load.

    At least one subject is selected if a class has two, and never all subjects of a class.
    """
    held_out: list[str] = []
    for stratum in strata(make_units(cases, stratified=True, grouped=True), random):
        wanted = min(max(1, round(fraction * len(stratum))), len(stratum) - 1)
        for block in np.array_split(np.arange(len(stratum)), wanted) if wanted else []:
            held_out += stratum[int(random.choice(block))].cases
    return held_out


def disease_of_unit(cases: Sequence[PreparedCase]) -> str:
    """Return the most frequent known disease of a unit (the first by name if tied); empty if unknown."""
    known = Counter(sorted(case.disease for case in cases if case.disease is not None))
    return known.most_common(1)[0][0] if known else ""


def _lesion_load(cases: Sequence[PreparedCase]) -> float:
    """Return the mean number of lesion voxels over the cases with a reference."""
    masks = (case.lesion_mask() for case in cases)
    loads = [int(np.count_nonzero(mask.view(bool))) for mask in masks if mask is not None]
    return float(np.mean(loads)) if loads else _NO_REFERENCE
