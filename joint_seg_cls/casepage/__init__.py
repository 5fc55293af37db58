"""Pages of findings: one HTML file and one PDF per scan, an index of scans, and the change between two visits."""

from joint_seg_cls.casepage.case import Case, read_case
from joint_seg_cls.casepage.change_page import doubts, is_change_table, write_change_page, write_change_table
from joint_seg_cls.casepage.folder import refuse_foreign_pages, write_pages
from joint_seg_cls.casepage.index import page_path, write_index
from joint_seg_cls.casepage.page import summary_of, write_case_page
from joint_seg_cls.casepage.pdf import write_case_pdf
from joint_seg_cls.casepage.visits import LesionChange, VisitComparison, compare_visits

__all__ = [
    "Case",
    "LesionChange",
    "VisitComparison",
    "compare_visits",
    "doubts",
    "is_change_table",
    "page_path",
    "read_case",
    "refuse_foreign_pages",
    "summary_of",
    "write_case_page",
    "write_case_pdf",
    "write_change_page",
    "write_change_table",
    "write_index",
    "write_pages",
]
