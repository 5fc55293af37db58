"""Tables and figures of a study, from the files of its runs."""

from joint_seg_cls.report.circumstances import about, contaminated
from joint_seg_cls.report.figure import Figure
from joint_seg_cls.report.figures import draw_figures
from joint_seg_cls.report.page import PageCell, PageRun, PageTable, TextSection, write_page
from joint_seg_cls.report.published import published_label
from joint_seg_cls.report.region_table import region_tables
from joint_seg_cls.report.runs import ReportRun
from joint_seg_cls.report.study_report import StudyReport, report_files, verdicts
from joint_seg_cls.report.study_tables import TableMaker
from joint_seg_cls.report.trust_tables import trust_tables
from joint_seg_cls.report.variants import Variant, gather

__all__ = [
    "Figure",
    "PageCell",
    "PageRun",
    "PageTable",
    "ReportRun",
    "StudyReport",
    "TableMaker",
    "TextSection",
    "Variant",
    "about",
    "contaminated",
    "draw_figures",
    "gather",
    "published_label",
    "region_tables",
    "report_files",
    "trust_tables",
    "verdicts",
    "write_page",
]
