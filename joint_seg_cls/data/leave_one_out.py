"""Leave-one-site-out folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from joint_seg_cls.data.cut_name import cut_name
from joint_seg_cls.data.held_out import HeldOut, held_out_cases
from joint_seg_cls.data.split import HELD_OUT, FoldName, Split, where_of, with_validation
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import PreparedCase


@final
@dataclass(frozen=True)
class LeaveOneOut:
    """Fold k tests the k-th value, in sorted order, of a column of the cohort table, and trains on the other values.

    If a subject has scans at several sites, and one of the sites is tested, the subject's other scans are excluded.

    Args:
        column: the column, such as ``site`` or ``scanner``.
        seed: seed of the validation part.
        held_out: as in :class:`Folds`.
    """

    column: str = "site"
    seed: int = 0
    held_out: HeldOut = None

    def splits(self, cases: Sequence[PreparedCase], validation_fraction: int | float) -> dict[FoldName, Split]:
        """Return the parts of every fold.

        Raises:
            SplitError: a case has no value in the column, all cases have the same value, or as :func:`held_out_cases`
                and :func:`with_validation`.
        """
        held_out = set(held_out_cases(cases, self.held_out, self.seed))
        others = [case for case in cases if case.case not in held_out]
        values = self.values(others)
        splits: dict[FoldName, Split] = {}
        for fold, value in enumerate(values):
            test = [case.case for case in others if case.columns[self.column] == value]
            splits[fold] = with_validation(
                others, test, fraction=validation_fraction, seed=self.seed, fold=fold, isolate=True
            )
        if held_out:
            splits[HELD_OUT] = with_validation(
                cases, held_out, fraction=validation_fraction, seed=self.seed, fold=HELD_OUT, isolate=True
            )
        return splits

    def values(self, cases: Sequence[PreparedCase]) -> list[str]:
        """Return the column's values in the order of the folds."""
        without = sorted(case.case for case in cases if not case.columns.get(self.column))
        if without:
            raise SplitError(
                where_of(cases),
                expected=f"a value of {self.column} for every case",
                found=f"{len(without)} of {len(cases)} without ({', '.join(without[:5])})",
                remedy="fill the column in the cohort table and prepare again, or name another with data.folds.column=",
            )
        values = sorted({case.columns[self.column] for case in cases})
        if len(values) < 2:
            raise SplitError(
                where_of(cases),
                expected=f"at least two values of {self.column}",
                found=", ".join(values) or "none",
                remedy="use data/folds=cross_validation, or name another column with data.folds.column=",
            )
        return values

    def settings(self, validation_fraction: int | float) -> dict[str, object]:
        """Return all settings that determine the folds."""
        return {
            "leave_one_out": self.column,
            "seed": self.seed,
            "held_out": self.held_out,
            "validation_fraction": validation_fraction,
        }

    def name(self, validation_fraction: int | float) -> str:
        """Return a name such as ``leave-one-site-out_seed-0_validation-0.2``."""
        return cut_name(
            f"leave-one-{self.column}-out",
            {"seed": self.seed, "held-out": self.held_out, "validation": validation_fraction},
        )
