"""A study as one self-contained HTML page: tables, figures and runs, and what is missing."""

import base64
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, final
from urllib.parse import quote

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import write_text
from joint_seg_cls.metrics import Interval
from joint_seg_cls.pictures.page import template
from joint_seg_cls.report.figure import DOTS_PER_INCH, Figure

#: Screen pixels per inch of a drawing.
_SCREEN_DOTS_PER_INCH = 96

#: How :func:`~joint_seg_cls.metrics.proportion_interval` is made, for captions.
PROPORTION_INTERVALS = "95 % bootstrap intervals over subjects; of a share of 0 or 1, that of Clopper and Pearson."


class PageCell(NamedTuple):
    """A cell of a table; the best of its column is bold, the second underlined; ``detail`` is small text below."""

    text: str
    mark: Literal["", "best", "second"] = ""
    detail: str = ""

    @property
    def line(self) -> str:
        """The text and the detail on one line."""
        return f"{self.text} {self.detail}".strip()


def with_interval(value: float, interval: Interval, *, digits: int = 3) -> PageCell:
    """Return a cell with a value and its interval below."""
    if math.isnan(value):
        return PageCell("–")
    text, *ends = (f"{number:z.{digits}f}" for number in (value, *interval))  # z: no sign of a zero
    return PageCell(text, detail="" if math.isnan(interval.low) else f"({' to '.join(ends)})")


@final
@dataclass(frozen=True)
class PageTable:
    """A table with title, caption and footnotes.

    Args:
        title: number and subject.
        rows: cells; the first cell of a row is its name.
        caption: what was measured and how.
        missing: why there is no table, or the missing rows.
        groups: a row above the heads: texts and their numbers of columns.
        is_text: whether its cells are text rather than numbers.
    """

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[PageCell]] = ()
    caption: str = ""
    notes: Sequence[str] = ()
    missing: str = ""
    groups: Sequence[tuple[str, int]] = ()
    is_text: bool = False


class PageRun(NamedTuple):
    """A run of the study: row, state, and folder."""

    label: str
    fold: str
    seed: str
    state: str
    detail: str
    folder: Path


@final
@dataclass(frozen=True)
class TextSection:
    """Lines of text under a heading, such as the cohort or the conclusions."""

    title: str
    lines: Sequence[str] = field(default=())


def write_page(
    path: Path,
    *,
    title: str,
    subtitle: str,
    parts: Sequence[TextSection] = (),
    tables: Sequence[PageTable] = (),
    figures: Sequence[Figure] = (),
    runs: Sequence[PageRun] = (),
    footer: str = "",
) -> None:
    """Write the page, with embedded pictures and escaped text. Atomic.

    It links to run folders; absolute paths in texts are reduced to file names.

    Args:
        title: the study.
        subtitle: cohort, protocol, folds.
        parts: text before the tables.
        tables: in the order of the paper.
        figures: in the order of the paper; figures without a picture are listed with the reason.
        runs: all runs of the study; unfinished ones are listed as missing at the top.
        footer: program, version and use.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done = [run for run in runs if run.state == "done"]
    text = template("joint_seg_cls.report", "page.html.j2").render(
        version=__version__,
        title=title,
        subtitle=subtitle,
        parts=parts,
        tables=tables,
        figures=[(figure, _embedded(figure)) for figure in figures],
        missing=_missing(tables, figures, runs),
        done=len(done),
        runs=[(run, _link(run.folder, path.parent)) for run in runs],
        footer=footer,
    )
    write_text(path, text)


class _Embedded(NamedTuple):
    """An embedded picture and its width in screen pixels."""

    source: str
    width: int


def _embedded(figure: Figure) -> _Embedded | None:
    if figure.png is None:
        return None
    content = figure.png.read_bytes()
    pixels = int.from_bytes(content[16:20], "big")  # offset of the width in a PNG
    text = base64.b64encode(content).decode("ascii")
    return _Embedded(f"data:image/png;base64,{text}", round(pixels / DOTS_PER_INCH * _SCREEN_DOTS_PER_INCH))


def _link(folder: Path, start: Path) -> str:
    """Return a relative link that stays valid when all runs are moved together; empty for a page elsewhere.

    A link from outside the runs' collection would expose folder names, and break when the page is moved.
    """
    folder, start = folder.resolve(), start.resolve()
    if not start.is_relative_to(folder.parents[1]):
        return ""
    return quote(Path(os.path.relpath(folder, start)).as_posix()) + "/"


def _missing(tables: Sequence[PageTable], figures: Sequence[Figure], runs: Sequence[PageRun]) -> list[tuple[str, str]]:
    waiting: dict[str, list[str]] = {}
    for run in runs:
        if run.state != "done":
            waiting.setdefault(run.label, []).append(f"fold {run.fold}, seed {run.seed}: {run.detail or run.state}")
    waiting_lines = [(label, "; ".join(each)) for label, each in waiting.items()]
    return waiting_lines + [(part.title, part.missing) for part in (*tables, *figures) if part.missing]
