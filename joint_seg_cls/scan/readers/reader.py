"""Result of a reader: the scans found, and the files not used with the reason."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from joint_seg_cls.scan.finder import Remark, natural

#: Columns defined by the cohort table; further columns may not have these names.
OWN_COLUMNS = frozenset({"subject", "session", "flair", "brain_mask", "disease"})


@final
@dataclass(frozen=True)
class FoundScan:
    """One row of the cohort table.

    Attributes:
        session: the visit, or None if there is only one.
        files: file of each path column (``flair``, ``t1``, ``brain_mask``, ``lesion_mask``, ...).
        disease: name of a disease, or None if unknown; a class name when the table is written.
        columns: further columns.
    """

    subject: str
    session: str | None
    files: Mapping[str, Path]
    disease: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the scan in messages."""
        return " ".join(filter(None, (self.subject, self.session)))


@final
@dataclass(frozen=True)
class Found:
    """Result of a reader.

    Attributes:
        scans: in the order of the table.
        remarks: what was not used or is doubtful.
        staged: a temporary folder that the reader filled beside the table, and its final name,
            which it gets when the table is written; paths of scans use the final name.
        named: text in the source, by each disease that ``labels=`` or a side-car defined for it.
        private: a file with identifying data, and its text, written only on request of the user.
    """

    scans: tuple[FoundScan, ...]
    remarks: tuple[Remark, ...] = ()
    staged: tuple[Path, Path] | None = None
    private: tuple[Path, str] | None = None
    named: Mapping[str, str] = field(default_factory=dict)


def visit_order(item: tuple[tuple[str, str | None], object]) -> tuple:
    """Return a sort key of a subject and a visit in natural order: ``P2`` before ``P10``."""
    subject, session = item[0]
    return natural(subject), natural(session or "")


class Reader(ABC):
    """Finds the scans of a cohort in one kind of folder."""

    @abstractmethod
    def read(self, path: Path, out: Path) -> Found:
        """Return the scans at ``path``.

        Args:
            path: the folder (for a table, the file).
            out: path of the table to be written; only readers that convert scans write files beside it.

        Raises:
            CohortError: the folder is missing, unreadable, contradictory, or has no scan of this kind.
        """
