"""Writing a report: pooled predictions, tables, claims, checklist, and the page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import pandas as pd

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import write_text
from joint_seg_cls.audit import Audit, Table
from joint_seg_cls.report import checklist as claim
from joint_seg_cls.report.circumstances import about
from joint_seg_cls.report.figure import Figure
from joint_seg_cls.report.latex import latex, plain_latex
from joint_seg_cls.report.page import PageCell, PageRun, PageTable, TextSection, write_page
from joint_seg_cls.report.published import published_cohort, published_source
from joint_seg_cls.report.study_table import StudyTable
from joint_seg_cls.report.table_output import claims_frame, frame, markdown, page_tables
from joint_seg_cls.report.variants import Variant, pooled_table
from joint_seg_cls.scan.cells import markdown as escaped
from joint_seg_cls.scan.cells import markdown_table, write_table

#: Files of a report, and their patterns in its folders.
_FILES = ("index.html", "pooled.csv", "claims.csv", "tables.md", "checklist.md", "checklist.csv", "explanations.csv")
_WRITTEN = re.compile(
    r"((table|cohort)-(\d+|variants|lesions|surfaces|regions)|regions|calibration|coverage|explanations)\.(md|tex|csv)"
)
_DRAWN = re.compile(r"(figure-\d+|training-\d+|calibration|coverage)\.(png|pdf)")
_FOLDERS = {"tables": _WRITTEN, "figures": _DRAWN}
#: Tables of the audit that correspond to tables of the paper.
_OF_PAPER = {"Patients": " (the paper's Table 1)", "Acquisition": " (the paper's Table 2)"}


def report_files(out: Path) -> list[Path]:
    """Return all that is in ``out`` under a name that a report writes or deletes."""
    found = [path for path in (out / name for name in _FILES) if path.exists()]
    for folder, pattern in ((out / name, pattern) for name, pattern in _FOLDERS.items()):
        if folder.is_dir():
            found += sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
        elif folder.exists():
            found.append(folder)
    return found


@final
@dataclass(frozen=True)
class StudyReport:
    """The content of a report.

    Args:
        tables: output of :class:`TableMaker`.
        figures: drawn or missing.
        runs: rows of the list of runs.
        audit: audit of the data; None if no run has a readable one.
        warnings: warnings of the audit.
        further: tables of :func:`region_tables` and :func:`trust_tables` by the name of their files.
        explanations: audited explanations, one row per scan.
    """

    name: str
    variants: Sequence[Variant]
    tables: Sequence[StudyTable]
    figures: Sequence[Figure]
    runs: Sequence[PageRun]
    audit: Audit | None
    warnings: Sequence[str]
    further: Mapping[str, PageTable] = field(default_factory=dict)
    explanations: pd.DataFrame = field(default_factory=pd.DataFrame)

    def write(self, out: Path) -> None:
        """Write ``pooled.csv``, ``claims.csv``, ``tables.md``, ``tables/``, ``checklist.*`` and ``index.html``.

        ``explanations.csv`` is written if explanations were audited. Tables of an earlier report that this one
        does not have are removed.
        """
        (out / "tables").mkdir(parents=True, exist_ok=True)
        names = {table.name for table in self.tables} | {f"cohort-{k + 1}" for k in range(len(self._cohort()))}
        names |= {name for name, table in self.further.items() if table.rows}
        for path in (out / "tables").iterdir():
            if _WRITTEN.fullmatch(path.name) and path.stem not in names:
                path.unlink()
        write_table(pooled_table(self.variants), out / "pooled.csv")
        write_table(claims_frame(self.tables), out / "claims.csv")
        for table in self.tables:
            write_text(out / "tables" / f"{table.name}.md", markdown(table))
            write_text(out / "tables" / f"{table.name}.tex", latex(table))
            write_table(frame(table), out / "tables" / f"{table.name}.csv")
        for number, table in enumerate(self._cohort()):
            _write_cells(out / "tables" / f"cohort-{number + 1}", table, table.rows, _cohort_markdown(table))
        texts = [*map(markdown, self.tables)]
        for name, table in self.further.items():
            if table.rows:
                texts.append(_page_table_markdown(table))
                _write_cells(out / "tables" / name, table, _texts(table), texts[-1])
        if len(self.explanations):
            write_table(self.explanations, out / "explanations.csv")
        else:
            (out / "explanations.csv").unlink(missing_ok=True)
        write_text(out / "tables.md", "\n".join(texts))
        items = claim.checklist(self.variants, self.tables, self.figures, self.audit, self._statistics())
        write_text(out / "checklist.md", claim.markdown(items))
        write_table(pd.DataFrame(items), out / "checklist.csv")
        self._page(out / "index.html", items)

    def _page(self, path: Path, items: Sequence[claim.Item]) -> None:
        cohort = [_cohort_table(table) for table in self._cohort()]
        listed = [[PageCell(cell) for cell in item] for item in items]
        heads = ("item", "part", "question", "answer")
        checked = PageTable("Checklist for reporting", heads, listed, "After CLAIM, 2024 update.", is_text=True)
        tables = [part for table in self.tables for part in page_tables(table)]
        write_page(
            path,
            title=f"Study {self.name}",
            subtitle=about(self.variants),
            parts=self._parts(),
            tables=[*tables, *self.further.values(), *cohort, checked],
            figures=self.figures,
            runs=self.runs,
            footer=f"jsc report, joint_seg_cls {__version__}. Published values: {published_source()}. For research "
            "only; not a medical device.",
        )

    def _parts(self) -> list[TextSection]:
        conclusions = [f"{table.title}: {verdicts(table)}" for table in self.tables if table.claims]
        untested = ["No scan was tested by both the joint model and another variant, so there are no comparisons."]
        parts = [TextSection("Conclusions", conclusions or untested)]
        lines = [f"The paper's cohort (its Tables 1 and 2): {' '.join(published_cohort())}"]
        if self.audit is None:
            lines.append("No run has an audit of this version, so the tables of the cohort are missing (jsc check).")
        parts.append(TextSection("Cohort", lines))
        if self.warnings:
            parts.append(TextSection("Warnings of the audit", list(self.warnings)))
        return parts

    def _statistics(self) -> str:
        tests = dict.fromkeys(one.test for table in self.tables for one in table.claims)
        compared = (
            f"; paired tests against the joint model ({', '.join(tests)}), subjects as units, Holm-corrected within a "
            "table; smallest difference at 80 % power"
        )
        return f"means over folds with sd and 95 % bootstrap intervals over subjects{compared if tests else ''}"

    def _cohort(self) -> list[Table]:
        return [table for table in (self.audit.tables if self.audit is not None else ()) if table.rows]


def _write_cells(path: Path, table: Table | PageTable, cells: list[list[str]], text: str) -> None:
    """Write a table of text as CSV, Markdown (``text``) and LaTeX."""
    write_table(pd.DataFrame(cells, columns=list(table.columns)), path.with_suffix(".csv"))
    write_text(path.with_suffix(".md"), text)
    write_text(path.with_suffix(".tex"), plain_latex(table.title, table.columns, cells))


def _texts(table: PageTable) -> list[list[str]]:
    return [[cell.line for cell in row] for row in table.rows]


def _page_table_markdown(table: PageTable) -> str:
    grid = markdown_table(list(map(escaped, table.columns)), [list(map(escaped, row)) for row in _texts(table)])
    notes = "".join(f"\n- {escaped(note)}" for note in table.notes)
    return f"### {escaped(table.title)}\n\n{escaped(table.caption)}\n\n{grid}\n{notes}\n".rstrip("\n") + "\n"


def _cohort_markdown(table: Table) -> str:
    rows = [list(map(escaped, row)) for row in table.rows]
    grid = markdown_table(list(map(escaped, table.columns)), rows)
    return f"### {escaped(table.title)}\n\n{grid}\n\n{escaped(table.note)}\n"


def _cohort_table(table: Table) -> PageTable:
    rows = [[PageCell(cell) for cell in row] for row in table.rows]
    title = f"{table.title}{_OF_PAPER.get(table.title, '')}"
    return PageTable(title, table.columns, rows, notes=[table.note] if table.note else [], is_text=True)


def verdicts(table: StudyTable) -> str:
    """Return the claims of a table by verdict."""
    by_verdict: dict[str, list[str]] = {}
    for one in table.claims:
        by_verdict.setdefault(one.verdict, []).append(f"{one.better} > {one.worse} in {one.metric}")
    order = ("holds", "does not hold", "not decided")
    return "; ".join(f"{name}: {', '.join(by_verdict[name])}" for name in order if name in by_verdict)
