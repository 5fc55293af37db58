"""Cases excluded from all folds for a final test."""

from collections.abc import Mapping, Sequence

from joint_seg_cls.data.draws import random_state
from joint_seg_cls.data.split import where_of
from joint_seg_cls.data.units import hold_out
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import PreparedCase

#: A share of the subjects of each class (stratified by lesion load), or one or several values of a column of the table.
HeldOut = int | float | Mapping[str, str | int | float | Sequence[str | int | float]] | None


def held_out_cases(cases: Sequence[PreparedCase], wanted: HeldOut, seed: int) -> list[str]:
    """Return the names of the cases to hold out.

    Raises:
        SplitError: the share is not in (0, 1), the mapping does not have one column, or no case or every case has the
            value.
    """
    if wanted is None or wanted == 0:
        return []
    if isinstance(wanted, Mapping):
        return _by_column(cases, wanted)
    if not 0 < wanted < 1:
        raise _refusal(cases, wanted, "a share between 0 and 1", "set data.folds.held_out=0.2")
    return hold_out(cases, wanted, random_state("held out", wanted, seed))


def _by_column(cases: Sequence[PreparedCase], wanted: Mapping[str, object]) -> list[str]:
    if len(wanted) != 1:
        raise _refusal(cases, dict(wanted), "one column and its value", "write data.folds.held_out={site: north}")
    ((column, value),) = wanted.items()
    values = {str(one) for one in (value if isinstance(value, Sequence) and not isinstance(value, str) else [value])}
    there = {case.columns.get(column, "") for case in cases}
    unknown = sorted(values - there)
    if unknown:
        known = ", ".join(sorted(there - {""})[:8]) or "nothing"
        raise _refusal(
            cases, f"{column}: {unknown[0]}", f"a value of {column} (the cohort has {known})", "correct the value"
        )
    held = [case.case for case in cases if case.columns.get(column, "") in values]
    if len(held) == len(cases):
        raise _refusal(cases, dict(wanted), "cases left to train on", "hold out fewer values")
    return held


def _refusal(cases: Sequence[PreparedCase], found: object, expected: str, remedy: str) -> SplitError:
    return SplitError(where_of(cases), expected=expected, found=f"data.folds.held_out={found}", remedy=remedy)
