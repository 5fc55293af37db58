"""A table of a study: rows with measured and published values, claims, caption and footnotes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from joint_seg_cls.report.claims import Claim
from joint_seg_cls.report.measured import LOWER_IS_BETTER, Measured

Mark = Literal["", "best", "second"]
#: Metrics that are not fractions and not printed in percent.
_NOT_SHARES = frozenset({"HD95 mm"})


@final
@dataclass(frozen=True)
class TableRow:
    """A method of a table.

    Args:
        label: name for readers.
        measured: by metric; empty before a run is finished.
        published: by metric, in percent.
        scans: test scans of the finished runs.
        converged: whether its trainings converged.
        cells: finished folds and seeds.
    """

    label: str
    base: str
    measured: Mapping[str, Measured]
    published: Mapping[str, float] = field(default_factory=dict)
    runs: tuple[int, int] = (0, 0)
    scans: int = 0
    converged: str = ""
    cells: frozenset[tuple[str, int]] = frozenset()


@final
@dataclass(frozen=True)
class StudyTable:
    """A table.

    Args:
        name: name of its files.
        title: number and subject.
        caption: what was measured and how, including the protocol.
        heading: heading of published values; empty if there are none.
        missing: missing rows, with the reason.
    """

    name: str
    title: str
    metrics: tuple[str, ...]
    rows: Sequence[TableRow]
    claims: Sequence[Claim] = ()
    caption: str = ""
    notes: Sequence[str] = ()
    heading: str = ""
    missing: str = ""

    @property
    def published(self) -> tuple[str, ...]:
        """Metrics with a published value in any row."""
        return tuple(name for name in self.metrics if any(name in row.published for row in self.rows))

    def marks(self, metric: str) -> list[Mark]:
        """Mark the best and second-best values of ``metric`` among the rows with the most finished runs."""
        most = max((row.cells for row in self.rows if metric in row.measured), key=len, default=frozenset())
        values = [
            row.measured[metric].value.mean if metric in row.measured and row.cells == most else None
            for row in self.rows
        ]
        printed = [None if one is None else float(number(metric, one)) for one in values]
        return mark(printed, lower=metric in LOWER_IS_BETTER)

    def published_marks(self, metric: str) -> list[Mark]:
        """Mark the best and second-best of the published values."""
        values = [row.published.get(metric) for row in self.rows]
        return mark([None if one is None else round(one, 2) for one in values], lower=metric in LOWER_IS_BETTER)


def mark(printed: Sequence[float | None], *, lower: bool) -> list[Mark]:
    """Mark the best and second-best values, with equal marks for ties; no marks for a single value."""
    order = sorted({one for one in printed if one is not None}, reverse=not lower)
    if sum(one is not None for one in printed) < 2:
        return ["" for _ in printed]
    best, second = order[0], order[1] if len(order) > 1 else None
    return ["" if one is None else "best" if one == best else "second" if one == second else "" for one in printed]


def unit(metric: str) -> str:
    """Return a metric with its unit."""
    return metric if metric in _NOT_SHARES else f"{metric} (%)"


def number(metric: str, value: float, digits: int = 2) -> str:
    """Return a value as printed in a table."""
    return f"{value if metric in _NOT_SHARES else 100 * value:.{digits}f}"
