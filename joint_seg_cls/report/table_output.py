"""Output of a table as Markdown, CSV, and part of the study's page."""

import math
from collections.abc import Sequence

import pandas as pd

from joint_seg_cls.metrics import Comparison
from joint_seg_cls.report.claims import Claim
from joint_seg_cls.report.measured import Measured
from joint_seg_cls.report.page import PageCell, PageTable
from joint_seg_cls.report.study_table import Mark, StudyTable, number, unit
from joint_seg_cls.scan.cells import markdown as escaped
from joint_seg_cls.scan.cells import markdown_table

NONE = "–"
_CLAIM_COLUMNS = (
    "claim",
    "metric",
    "difference (95 %)",
    "test",
    "p",
    "p, Holm",
    "smallest detectable",
    "published",
    "verdict",
)


def markdown(table: StudyTable) -> str:
    """Return a table with its caption, footnotes and claims."""
    marks = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}
    metrics = [*map(unit, table.metrics), *(f"{name} †" for name in table.published)]
    heads = ["method", "folds", "scans", *map(escaped, metrics), "converged"]
    rows = [[marks[cell.mark].format(escaped(cell.line)) for cell in row] for row in table_rows(table)]
    parts = [f"### {escaped(table.title)}", escaped(table.caption)]
    if table.heading:
        parts.append(f"† **{escaped(table.heading)}**")
    parts += [markdown_table(heads, rows), "\n".join(f"- {escaped(note)}" for note in table.notes)]
    if table.claims:
        claims = [list(map(escaped, _claim(one))) for one in table.claims]
        parts += ["Claims", markdown_table(_CLAIM_COLUMNS, claims)]
    return "\n\n".join(part for part in parts if part) + "\n"


def frame(table: StudyTable) -> pd.DataFrame:
    """Return one row per method with value, spreads, interval, number of scans and published value of each metric."""
    rows = []
    for row in table.rows:
        done, planned = row.runs
        record: dict[str, object] = {"method": row.label, "base": row.base, "runs_done": done, "runs": planned}
        record |= {"scans": row.scans, "converged": row.converged}
        for name, (scans, value) in row.measured.items():
            low, high = value.interval
            spreads = {f"{name} sd folds": value.sd_folds, f"{name} sd seeds": value.sd_seeds}
            ends = {f"{name} low": low, f"{name} high": high}
            counts = {f"{name} scans": scans, f"{name} folds": value.folds}
            record |= {name: value.mean, **spreads, **ends, f"{name} pooled": value.pooled, **counts}
        for name in table.published:
            published = row.published.get(name)
            record[f"{name} published ({table.heading or 'same cohort'})"] = (
                None if published is None else published / 100
            )
        rows.append(record)
    return pd.DataFrame(rows)


def claims_frame(tables: Sequence[StudyTable]) -> pd.DataFrame:
    """Return one row per claim of all tables; differences are fractions."""
    known = ("table", "better", "worse", "metric", "test", *Comparison._fields)
    return pd.DataFrame(
        [
            {
                "table": table.title,
                "better": one.better,
                "worse": one.worse,
                "metric": one.metric,
                "test": one.test,
                **one.found._asdict(),
                "p_holm": one.p_holm,
                "published_difference": one.published,
                "by_seed": " ".join(f"{each:.4f}" for each in one.by_seed),
                "verdict": one.conclusion,
            }
            for table in tables
            for one in table.claims
        ],
        columns=[*known, "p_holm", "published_difference", "by_seed", "verdict"],
    )


def page_tables(table: StudyTable) -> list[PageTable]:
    """Return a table and its claims as parts of the page."""
    ours, published = len(table.metrics), len(table.published)
    heads = ["method", "folds", "scans", *map(unit, table.metrics), *map(unit, table.published), "converged"]
    groups = [("", 3 + ours), (table.heading or "published", published), ("", 1)] if published else []
    made = PageTable(table.title, heads, table_rows(table), table.caption, table.notes, table.missing, groups)
    if not table.claims:
        return [made]
    rows = [[PageCell(cell) for cell in _claim(one)] for one in table.claims]
    return [made, PageTable(f"{table.title}: claims", _CLAIM_COLUMNS, rows, is_text=True)]


def table_rows(table: StudyTable) -> list[list[PageCell]]:
    """Return the cells of a table: method, folds, scans, measured, published, and convergence."""
    ours = {name: table.marks(name) for name in table.metrics}
    theirs = {name: table.published_marks(name) for name in table.published}
    rows = []
    for place, row in enumerate(table.rows):
        done, planned = row.runs
        finished = NONE if not planned else str(done) if done == planned else f"{done} of {planned}"
        cells = [PageCell(row.label), PageCell(finished), PageCell(str(row.scans) if row.scans else NONE)]
        cells += [_cell(name, row.measured.get(name), ours[name][place]) for name in table.metrics]
        for name, marks in theirs.items():
            value = row.published.get(name)
            cells.append(PageCell(NONE) if value is None else PageCell(f"{value:.2f}", marks[place]))
        rows.append([*cells, PageCell(row.converged or NONE)])
    return rows


def _cell(metric: str, found: Measured | None, mark: Mark) -> PageCell:
    if found is None:
        return PageCell(NONE)
    value = found.value
    spread = "" if math.isnan(value.sd_folds) else f" ± {number(metric, value.sd_folds)}"
    low, high = (number(metric, end, 1) for end in value.interval)
    seeds = "" if math.isnan(value.sd_seeds) else f"; seeds ± {number(metric, value.sd_seeds)}"
    detail = f"({low} to {high}{seeds})" if not math.isnan(value.interval.low) else seeds.removeprefix("; ")
    return PageCell(f"{number(metric, value.mean)}{spread}", mark, detail)


def _claim(one: Claim) -> list[str]:
    found = one.found
    smallest = (
        "nothing"
        if math.isinf(found.smallest)
        else "unknown"
        if math.isnan(found.smallest)
        else f"{100 * found.smallest:.1f}"
    )
    seeds = f"; by seed {', '.join(f'{100 * each:.1f}' for each in one.by_seed)}" if one.by_seed else ""
    return [
        f"{one.better} > {one.worse}",
        one.metric,
        f"{100 * found.difference:.2f} ({100 * found.low:.1f} to {100 * found.high:.1f}){seeds}",
        f"{one.test}; {found.scans} scans of {found.subjects} subjects",
        _p(found.p),
        _p(one.p_holm),
        smallest,
        NONE if one.published is None else f"{100 * one.published:.2f}",
        one.conclusion,
    ]


def _p(value: float) -> str:
    return "undefined" if math.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.4f}"
