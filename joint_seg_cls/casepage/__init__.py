"""Pages of findings: one HTML file and one PDF per scan, an index of scans, and the change between two visits."""

from joint_seg_cls.casepage.case import Case, read_case
from joint_seg_cls.casepage.page import write_case_page

__all__ = ["Case", "read_case", "write_case_page"]
