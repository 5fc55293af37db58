"""The training, validation and test cases of a fold, and the interface of fold generators."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final, runtime_checkable

from joint_seg_cls.data.draws import random_state
from joint_seg_cls.data.units import hold_out
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import PreparedCase

#: The fold that tests the held-out cases and trains on all others.
HELD_OUT = "held_out"
#: The number of a fold, or :data:`HELD_OUT`.
FoldName = int | str


@final
@dataclass(frozen=True)
class Split:
    """Names of the cases in each part, sorted. ``validation`` may be empty."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def split_hash(self) -> str:
        """Hash of the cases in each part; 16 hexadecimal digits."""
        text = json.dumps([sorted(self.train), sorted(self.validation), sorted(self.test)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@runtime_checkable
class FoldMaker(Protocol):
    """Generates the folds of a cohort."""

    def splits(self, cases: Sequence[PreparedCase], validation_fraction: int | float) -> dict[FoldName, Split]:
        """Return the parts of every fold."""
        ...

    def settings(self, validation_fraction: int | float) -> dict[str, object]:
        """Return all settings that determine the folds, except the cases, as JSON values."""
        ...

    def name(self, validation_fraction: int | float) -> str:
        """Return a readable name for the folds, used as a file name."""
        ...


def folds_hash(splits: Mapping[FoldName, Split]) -> str:
    """Return a hash of all folds; 16 hexadecimal digits."""
    text = json.dumps(sorted((str(fold), split.split_hash) for fold, split in splits.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_validation(
    cases: Sequence[PreparedCase],
    test: Collection[str],
    *,
    fraction: int | float,
    seed: int,
    fold: FoldName,
    isolate: bool = False,
) -> Split:
    """Return a fold that tests ``test`` and divides the other ``cases`` into training and validation.

    The validation part is ``fraction`` of the subjects of each class outside the test, at least one if a class has two.
    No subject is in both parts.

    Args:
        fraction: share of validation; 0 for none.
        isolate: exclude other scans of the tested subjects.


    Raises:
        SplitError: the fraction is not in [0, 1).
    """
    tested = set(test)
    people = {case.subject for case in cases if case.case in tested} if isolate else set()
    rest = [case for case in cases if case.case not in tested and case.subject not in people]
    if not 0 <= fraction < 1:
        raise SplitError(
            where_of(cases),
            expected="a validation fraction of at least 0 and below 1",
            found=f"data.validation_fraction={fraction:g}",
            remedy="set data.validation_fraction=0.2, or 0 for none",
        )
    random = random_state("validation", fraction, seed, fold)
    validation = set(hold_out(rest, fraction, random)) if fraction else set()
    train = sorted(case.case for case in rest if case.case not in validation)
    return Split(tuple(train), tuple(sorted(validation)), tuple(sorted(tested)))


def pick(
    splits: Mapping[FoldName, Split], fold: FoldName, cases: Sequence[PreparedCase], validation_fraction: int | float
) -> Split:
    """Return one fold.

    Raises:
        SplitError: the fold does not exist, its training part is empty, or its validation part is empty although
            ``validation_fraction`` is above 0.
    """
    where = where_of(cases)
    if fold not in splits:
        numbers = sorted(name for name in splits if isinstance(name, int))
        is_contiguous = numbers == list(range(len(numbers))) and len(numbers) > 1
        known = f"a fold from 0 to {numbers[-1]}" if is_contiguous else f"a fold among {', '.join(map(str, numbers))}"
        raise SplitError(
            where,
            expected=f"{known}{f' or {HELD_OUT}' if HELD_OUT in splits else ''}",
            found=f"fold={fold}",
            remedy="set data.folds.held_out=0.2 to hold cases out" if fold == HELD_OUT else "choose another fold",
        )
    split = splits[fold]
    left = len(split.train) + len(split.validation)
    if not split.train:
        raise SplitError(
            where,
            expected="cases to train on",
            found=f"none in fold {fold}, which tests {len(split.test)}",
            remedy="choose other folds (data/folds=)",
        )
    if validation_fraction and not split.validation:
        raise SplitError(
            where,
            expected="a class with at least two subjects outside the test fold, one of them for validation",
            found=f"{left} cases for training and validation together",
            remedy="prepare more subjects, or set data.validation_fraction=0",
        )
    return split


def where_of(cases: Sequence[PreparedCase]) -> Path:
    """Return the folder of the store of ``cases``."""
    return cases[0].folder.parent
