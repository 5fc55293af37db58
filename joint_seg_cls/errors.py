"""Named failures of a user's input: each says where, what was expected, what was found, and what to do."""

from pathlib import Path
from typing import final


class InputError(Exception):
    """Something the user gave does not fit; the program stops with exit code 2 and this one sentence.

    Args:
        where: the file, folder or configuration key that is at fault.
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do about it, as an imperative.
    """

    exit_code = 2

    def __init__(self, where: str | Path, *, expected: str, found: str, remedy: str) -> None:
        self.where, self.expected, self.found, self.remedy = str(where), expected, found, remedy
        super().__init__(f"{where}: expected {expected}, found {found}; {remedy}.")

    def __reduce__(self) -> tuple:
        """Survive the way back from a worker process."""
        return _rebuild, (type(self), self.where, self.expected, self.found, self.remedy)


def _rebuild(kind: type[InputError], where: str, expected: str, found: str, remedy: str) -> InputError:
    return kind(where, expected=expected, found=found, remedy=remedy)


@final
class ScanError(InputError):
    """A scan or mask file that cannot be used."""


@final
class CohortError(InputError):
    """A cohort table that cannot be used."""


@final
class StoreError(InputError):
    """A prepared store that cannot be used."""


@final
class SplitError(InputError):
    """Folds that cannot be made from the cases at hand."""


@final
class ConfigError(InputError):
    """A configuration that names something unknown or combines what does not fit."""


@final
class CheckpointError(InputError):
    """A checkpoint or run folder that cannot be used."""


@final
class TrainingError(InputError):
    """A training whose numbers are no longer finite."""
