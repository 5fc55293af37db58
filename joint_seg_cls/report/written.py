"""A table of a study as Markdown, LaTeX and CSV, and as a part of the study's page."""

import math
import re
from collections.abc import Iterable, Sequence

import pandas as pd

from joint_seg_cls.report.claims import Claim
from joint_seg_cls.report.measured import Measured
from joint_seg_cls.report.page import PageCell, PageTable
from joint_seg_cls.report.study_table import Mark, StudyTable, number, unit

NONE = "–"
_CLAIM_COLUMNS = (
    "claim",
    "metric",
    "difference (95 %)",
    "test",
    "p",
    "p, Holm",
    "smallest that could be shown",
    "published",
    "verdict",
)
_TEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_TEX |= {
    "{": r"\{",
    "}": r"\}",
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "–": "--",
    "×": r"$\times$",
    "∞": r"$\infty$",
}
_TEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "³": r"$^3$", "−": "--"}
#: LaTeX numbers tables itself.
_NUMBERED = re.compile(r"Table (\d+)\. (.+)")
#: A table is as wide as the text at most.
_FIT = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"


def markdown(table: StudyTable) -> str:
    """Return a table with its caption, footnotes and claims."""
    marks = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}
    heads = [
        "method",
        "folds",
        "scans",
        *map(unit, table.metrics),
        *(f"{name} †" for name in table.published),
        "converged",
    ]
    rows = [[marks[cell.mark].format(_one_line(cell)) for cell in row] for row in _rows(table)]
    parts = [f"### {table.title}", table.caption]
    if table.heading:
        parts.append(f"† **{table.heading}**")
    parts += [grid(heads, rows), *(["\n".join(f"- {_escaped(note)}" for note in table.notes)] if table.notes else [])]
    if table.claims:
        parts += [
            "Claims",
            grid(list(_CLAIM_COLUMNS), [[_escaped(cell) for cell in _claim(one)] for one in table.claims]),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(table: StudyTable) -> str:
    """Return a ``table`` environment, which needs booktabs and graphicx.

    A method takes two lines, the second for its intervals; published values stand in a block of their own below.
    """
    title = _NUMBERED.sub(r"\2 (Table \1 of the paper)", table.title)
    ours, width = len(table.metrics), len(table.metrics) + 4
    heads = ["method", "folds", "scans", *map(unit, table.metrics), "converged"]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_tex(f'{title}. {table.caption}')}}}",
        _FIT,
        rf"\begin{{tabular}}{{lrr{'r' * ours}l}}",
        r"\toprule",
        _tex_line(map(_tex, heads)),
        r"\midrule",
    ]
    rows = _rows(table)
    for row in rows:
        cells = [*row[: 3 + ours], row[-1]]
        lines.append(_tex_line(map(_tex_cell, cells)))
        if any(cell.detail for cell in cells):
            lines.append(_tex_line(rf"{{\footnotesize {_tex(cell.detail)}}}" if cell.detail else "" for cell in cells))
    if table.published:
        heading = _tex(table.heading or "Published, same cohort")
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{{heading}}} \\"]
        for place, row in enumerate(rows):
            if not table.rows[place].published:
                continue
            values = dict(zip(table.published, map(_tex_cell, row[3 + ours : -1]), strict=True))
            lines.append(_tex_line([_tex_cell(row[0]), "", "", *(values.get(name, "") for name in table.metrics), ""]))
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def plain_latex(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a ``table`` environment of words, which needs booktabs and graphicx."""
    text = pd.DataFrame(rows, columns=columns).to_latex(index=False, escape=True, caption=title)
    return text.replace(r"\begin{tabular}", f"{_FIT}\n\\begin{{tabular}}").replace(r"\end{tabular}", r"\end{tabular}}")


def frame(table: StudyTable) -> pd.DataFrame:
    """Return one row a method and, for each metric, value, spreads, interval, number of scans and published value."""
    rows = []
    for row in table.rows:
        done, planned = row.runs
        record: dict[str, object] = {"method": row.label, "base": row.base, "runs_done": done, "runs": planned}
        record |= {"scans": row.scans, "converged": row.converged}
        for name, (scans, value) in row.measured.items():
            low, high = value.interval
            spreads = {f"{name} sd folds": value.sd_folds, f"{name} sd seeds": value.sd_seeds}
            ends = {f"{name} low": low, f"{name} high": high}
            record |= {name: value.mean, **spreads, **ends, f"{name} pooled": value.pooled, f"{name} scans": scans}
        for name in table.published:
            published = row.published.get(name)
            record[f"{name} published ({table.heading or 'same cohort'})"] = (
                None if published is None else published / 100
            )
        rows.append(record)
    return pd.DataFrame(rows)


def claims_frame(tables: Sequence[StudyTable]) -> pd.DataFrame:
    """Return one row a claim of all tables; differences are shares."""
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
                "verdict": one.told,
            }
            for table in tables
            for one in table.claims
        ]
    )


def page_tables(table: StudyTable) -> list[PageTable]:
    """Return a table and its claims as parts of the page."""
    ours, published = len(table.metrics), len(table.published)
    heads = ["method", "folds", "scans", *map(unit, table.metrics), *map(unit, table.published), "converged"]
    groups = [("", 3 + ours), (table.heading or "published", published), ("", 1)] if published else []
    made = PageTable(table.title, heads, _rows(table), table.caption, table.notes, table.missing, groups)
    if not table.claims:
        return [made]
    rows = [[PageCell(cell) for cell in _claim(one)] for one in table.claims]
    return [made, PageTable(f"{table.title}: claims", _CLAIM_COLUMNS, rows, is_text=True)]


def _rows(table: StudyTable) -> list[list[PageCell]]:
    ours = {name: table.marks(name) for name in table.metrics}
    theirs = {name: table.published_marks(name) for name in table.published}
    rows = []
    for place, row in enumerate(table.rows):
        done, planned = row.runs
        told = NONE if not planned else str(done) if done == planned else f"{done} of {planned}"
        cells = [PageCell(row.label), PageCell(told), PageCell(str(row.scans) if row.scans else NONE)]
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
        one.told,
    ]


def _p(value: float) -> str:
    return "undefined" if math.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _tex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _tex_cell(cell: PageCell) -> str:
    marks = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    return marks[cell.mark].format(_tex(cell.text))


def _one_line(cell: PageCell) -> str:
    return f"{cell.text} {cell.detail}".strip()


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---", *(["---:"] * (len(heads) - 1))], *rows]
    return "\n".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in line)} |" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", r"\*")


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
