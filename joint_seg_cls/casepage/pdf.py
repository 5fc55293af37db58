"""The findings of a case on one printed page (A4)."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.casepage.boxes import Box
from joint_seg_cls.casepage.diagnosis import Diagnosis
from joint_seg_cls.casepage.key_slices import PLANES, KeySlice
from joint_seg_cls.casepage.page import CaseSummary
from joint_seg_cls.pictures import names_as_text
from joint_seg_cls.scan.cells import without_folders

#: Size of the page and its margin in inches.
_WIDTH, _HEIGHT, _MARGIN = 8.27, 11.69, 0.55
#: Warnings that are listed; the others are counted. Lesions are listed down to this height, in rows of this one.
_MOST_WARNINGS, _LOWEST, _ROW = 4, 0.65, 0.145
#: Columns of the lesion table and letters of a cell that are shown.
_MOST_COLUMNS, _LONGEST = 8, 36
_COLOURS = ("#0072b2", "#d65f00", "#009e73", "#cc79a7", "#56b4e9", "#b59b00")
_INK, _SOFT = "#1c2127", "#5b6570"


def write_case_pdf(summary: CaseSummary, slices: Sequence[KeySlice], path: Path) -> None:
    """Write a summary and the slices of three planes as one page of PDF. Atomic."""
    figure = drawn_sheet(summary, slices)
    information = {"Title": summary.name, "Creator": f"joint_seg_cls {__version__}", "CreationDate": None}
    with atomic_file(path) as partial, names_as_text(figure):
        figure.savefig(partial, format="pdf", dpi=200, metadata=information)


def drawn_sheet(summary: CaseSummary, slices: Sequence[KeySlice]) -> Figure:
    """Return a summary and the slices of three planes on one page."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor="white")
    FigureCanvasPdf(figure)
    sheet = _Sheet(figure)
    sheet.text(summary.name, size=16, weight="bold", most=60)
    sheet.text(f"{summary.subtitle}. For research use only; not a medical device.", colour=_SOFT)
    for line in _first(summary.warnings, _MOST_WARNINGS, "warnings"):
        sheet.text(f"Warning: {line}", colour="#8a5a00")
    sheet.down(0.12)
    _findings(sheet, summary)
    for plane in PLANES:
        _slices(sheet, [cut for cut in slices if cut.plane == plane])
    for box in summary.boxes:
        _box(sheet, box)
    _table(sheet, summary)
    figure.text(_MARGIN / _WIDTH, 0.3 / _HEIGHT, f"joint_seg_cls {__version__}", size=7, color=_SOFT)
    return figure


class _Sheet:
    """Places parts from the top of the page down; lengths in inches."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.top = _HEIGHT - _MARGIN

    def down(self, height: float) -> None:
        self.top -= height

    def text(
        self, text: str, *, size: float = 8.5, colour: str = _INK, weight: str = "normal", most: int = 118
    ) -> None:
        for line in textwrap.wrap(without_folders(text), most) or [""]:
            self.down(size * 1.3 / 72)
            self.at(_MARGIN, line, size=size, colour=colour, weight=weight)

    def at(
        self, x: float, text: str, *, size: float = 8.5, colour: str = _INK, weight: str = "normal", ends: bool = False
    ) -> None:
        """Write one line that begins (or ends) at ``x``, at the present height."""
        side = "right" if ends else "left"
        look = {"size": size, "color": colour, "weight": weight, "va": "bottom", "ha": side}
        self.figure.text(x / _WIDTH, self.top / _HEIGHT, text, **look)

    def axes(self, x: float, width: float, height: float, rise: float = 0.0) -> Axes:
        """Return axes whose upper left corner is at ``x`` and ``rise`` above the present height."""
        box = (x / _WIDTH, (self.top + rise - height) / _HEIGHT, width / _WIDTH, height / _HEIGHT)
        axes = self.figure.add_axes(box)
        axes.axis("off")
        return axes


def _findings(sheet: _Sheet, summary: CaseSummary) -> None:
    middle = _WIDTH / 2 + 0.1
    sheet.down(0.16)
    sheet.at(_MARGIN, "DIAGNOSIS", size=7.5, colour=_SOFT, weight="bold")
    sheet.at(middle, "LESIONS", size=7.5, colour=_SOFT, weight="bold")
    top = sheet.top
    diagnosis = summary.diagnosis
    sheet.down(0.24)
    count = summary.lesion_count
    found = "not segmented" if count is None else f"{count}, {summary.lesion_volume} mL" if count else "none found"
    sheet.at(middle, found, size=13, weight="bold")
    for term, value in summary.facts:
        sheet.down(0.16)
        sheet.at(middle, f"{term}: {value}")
    lowest = sheet.top
    sheet.top = top
    sheet.down(0.24)
    if diagnosis is None:
        sheet.at(_MARGIN, "This network segments lesions only.")
    else:
        _bars(sheet, diagnosis, middle - _MARGIN - 0.3)
    sheet.top = min(lowest, sheet.top)
    sheet.down(0.1)


def _bars(sheet: _Sheet, diagnosis: Diagnosis, width: float) -> None:
    sheet.at(_MARGIN, diagnosis.answer, size=13, weight="bold")
    for number, each in enumerate(diagnosis.classes):
        sheet.down(0.17)
        sheet.at(_MARGIN, each.name)
        axes = sheet.axes(_MARGIN + 0.9, width - 1.9, 0.1, rise=0.12)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.barh(0.5, 1, 1, color="#e9edf1")
        axes.barh(0.5, each.probability, 1, color=_COLOURS[number % len(_COLOURS)])
        if each.ends is not None:
            axes.plot(each.ends, (0.5, 0.5), color=_INK, linewidth=1)
        spread = "" if each.spread is None else f" ± {each.spread:.2f}"
        sheet.at(_MARGIN + width - 0.9, f"{each.probability:.2f}{spread}")
    for reason in diagnosis.reasons:
        for line in textwrap.wrap(without_folders(reason), 56):
            sheet.down(0.15)
            sheet.at(_MARGIN, line, size=8)


def _slices(sheet: _Sheet, cuts: Sequence[KeySlice]) -> None:
    """Draw four pictures of one plane: four slices, or two with their location maps."""
    if not cuts:
        return
    panels = [(cut.outlined, f"{cut.axis} = {cut.position_mm:.0f} mm") for cut in cuts]
    if cuts[0].mapped is not None:
        best = sorted(sorted(cuts, key=lambda cut: -len(cut.lesions))[:2], key=lambda cut: cut.position_mm)
        panels = [
            panel
            for cut in best
            if cut.mapped is not None
            for panel in ((cut.outlined, f"{cut.axis} = {cut.position_mm:.0f} mm"), (cut.mapped, "location map"))
        ]
    gap = 0.06
    width = (_WIDTH - 2 * _MARGIN - gap * (len(panels) - 1)) / max(len(panels), 1)
    height = min(width * panels[0][0].shape[0] / panels[0][0].shape[1], 2.0)
    left, right = cuts[0].sides
    for number, (picture, note) in enumerate(panels):
        axes = sheet.axes(_MARGIN + number * (width + gap), width, height)
        axes.set_facecolor("black")
        axes.imshow(picture.clip(0, 1), aspect="equal", interpolation="bilinear")
        for x, y, align, text in ((0.02, 0.5, "left", left), (0.98, 0.5, "right", right), (0.5, 0.04, "center", note)):
            ground = {"facecolor": "black", "edgecolor": "none", "pad": 1.0}
            place = {"transform": axes.transAxes, "ha": align, "va": "center", "bbox": ground}
            axes.text(x, y, text, color="white", size=6, **place)
    sheet.down(height + 0.06)


def _box(sheet: _Sheet, box: Box) -> None:
    """Write a box of the page as one paragraph."""
    rows = "; ".join(f"{row[0]}: {', '.join(filter(None, row[1:]))}" for row in box.rows)
    columns = f" ({', '.join(filter(None, box.columns[1:]))})" if rows else ""
    parts = [part.rstrip(".") for part in (box.headline, *box.lines, rows) if part]
    sheet.down(0.05)
    sheet.text(f"{box.title}{columns}: {'. '.join(parts)}", size=7.5, most=136)


def _table(sheet: _Sheet, summary: CaseSummary) -> None:
    """Write the largest lesions, as many as there is room for."""
    columns = summary.columns
    room = int((sheet.top - 0.2 - _LOWEST) / _ROW)
    if not columns.rows or room < 2:
        return
    sheet.down(0.2)
    listed = columns.largest_first if len(columns.rows) <= room else columns.largest_first[: room - 1]
    headings = columns.headings[:_MOST_COLUMNS]
    texts = [[textwrap.shorten(cell.text, _LONGEST, placeholder="…") for cell in row] for _, row in listed]
    letters = [3 + max(len(text[number]) for text in (headings, *texts)) for number in range(len(headings))]
    letter = (_WIDTH - 2 * _MARGIN) / sum(letters)
    for number, (heading, is_number) in enumerate(zip(headings, columns.is_number, strict=False)):
        # numbers end where their column ends, but for the names of the lesions
        ends = is_number and number > 0
        x = _MARGIN + letter * (sum(letters[: number + 1]) if ends else sum(letters[:number]))
        top = sheet.top
        sheet.at(x, heading, size=7, colour=_SOFT, weight="bold", ends=ends)
        for text in texts:
            sheet.down(_ROW)
            sheet.at(x, text[number], size=7.5, ends=ends)
        sheet.top = top
    sheet.down(_ROW * (len(listed) + 1))
    if more := len(columns.rows) - len(listed):
        sheet.at(_MARGIN, f"and {more} smaller lesions", size=7.5, colour=_SOFT)


def _first(lines: Sequence[str], most: int, what: str) -> list[str]:
    more = [f"and {len(lines) - most} more {what}"] if len(lines) > most else []
    return [*lines[:most], *more]
