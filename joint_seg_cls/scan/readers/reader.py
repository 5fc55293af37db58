"""What every reader of a folder gives: the scans that were found, and what was found but not used, and why."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from joint_seg_cls.scan.finder import Remark

#: Columns that the cohort table defines itself: a participant's own column may not take their place.
OWN_COLUMNS = frozenset({"subject", "session", "flair", "brain_mask", "disease"})


@final
@dataclass(frozen=True)
class FoundScan:
    """One row of the table to be written.

    Attributes:
        subject: the person.
        session: the visit, or None where there is only one.
        files: the file of each column of paths (``flair``, ``t1``, ``brain_mask``, ``lesion_mask``, ...).
        disease: the name of a disease, or None where it is not known; a class's name once the table is written.
        columns: what else is known, by column.
    """

    subject: str
    session: str | None
    files: Mapping[str, Path]
    disease: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scan as it is named to the user."""
        return " ".join(filter(None, (self.subject, self.session)))


@final
@dataclass(frozen=True)
class Found:
    """All that one reader found.

    Attributes:
        scans: in the order of the table.
        remarks: what was not used or is doubtful.
        staged: a folder that the reader filled beside the table, under a temporary name, and the name that it takes
            when the table is written; the scans' files lie under the final name.
        named: the text in the source by every disease that ``labels=`` or a side-car gave for it.
        private: a file that holds what identifies people, and its text, written only because the user asked for it.
    """

    scans: tuple[FoundScan, ...]
    remarks: tuple[Remark, ...] = ()
    staged: tuple[Path, Path] | None = None
    private: tuple[Path, str] | None = None
    named: Mapping[str, str] = field(default_factory=dict)


class Reader(ABC):
    """Finds the scans of a cohort in one kind of folder."""

    @abstractmethod
    def read(self, path: Path, out: Path) -> Found:
        """Return what is at ``path``.

        Args:
            path: the folder (for a table, the file).
            out: where the table is going to be written; only readers that convert scans put files beside it.

        Raises:
            CohortError: the folder is missing or cannot be read, holds no scan of this kind, or contradicts itself.
        """
