"""A study's tables and figures, from what its runs left on disk."""

from joint_seg_cls.report.figure import Figure
from joint_seg_cls.report.figure_runs import FigureRun
from joint_seg_cls.report.figures import draw_figures
from joint_seg_cls.report.page import PageCell, PageRun, PageTable, Part, write_page

__all__ = ["Figure", "FigureRun", "PageCell", "PageRun", "PageTable", "Part", "draw_figures", "write_page"]
