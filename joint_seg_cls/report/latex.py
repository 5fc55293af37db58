"""A table of a study as LaTeX."""

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from joint_seg_cls.report.page import PageCell
from joint_seg_cls.report.study_table import StudyTable, unit
from joint_seg_cls.report.table_output import table_rows

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
_TEX |= {"[": "{[}", "]": "{]}", "*": "{*}"}  # would be read as arguments of the \\\\ that ends a row
_TEX |= {"≤": r"$\leq$", "≥": r"$\geq$", "µ": r"$\mu$", "°": r"$^\circ$"}
#: LaTeX numbers tables itself.
_NUMBERED = re.compile(r"Table (\d+)\. (.+)")
#: Limits a table to the width of the text.
_FIT = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"


def latex(table: StudyTable) -> str:
    """Return a ``table`` environment, which needs booktabs and graphicx.

    A method has two lines, the second with its intervals; published values form a separate block below.
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
    rows = table_rows(table)
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
    """Return a ``table`` environment of words, which needs booktabs and graphicx.

    Letters of non-European languages need a TeX with full Unicode support, such as LuaLaTeX.
    """
    cells = pd.DataFrame([[_tex(cell) for cell in row] for row in rows], columns=[_tex(name) for name in columns])
    text = cells.to_latex(index=False, escape=False, caption=_tex(title))
    return text.replace(r"\begin{tabular}", f"{_FIT}\n\\begin{{tabular}}").replace(r"\end{tabular}", r"\end{tabular}}")


def _tex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _tex_cell(cell: PageCell) -> str:
    marks = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    return marks[cell.mark].format(_tex(cell.text))


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in " ".join(text.split()))
