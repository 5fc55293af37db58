"""Errors and suspicious findings in a cohort, its prepared store and its folds."""

from joint_seg_cls.audit.audit import Audit, read_audit, write_audit, write_audits
from joint_seg_cls.audit.cohort import audit_cohort
from joint_seg_cls.audit.draw import draw_cases, draw_rows
from joint_seg_cls.audit.finding import Finding, require_checks
from joint_seg_cls.audit.page import folds_table, write_audit_page
from joint_seg_cls.audit.scan import check_scan
from joint_seg_cls.audit.store import AUDIT_FILE, audit_folds, audit_frozen, audit_store
from joint_seg_cls.audit.tables import Table

__all__ = [
    "AUDIT_FILE",
    "Audit",
    "Finding",
    "Table",
    "audit_cohort",
    "audit_folds",
    "audit_frozen",
    "audit_store",
    "check_scan",
    "draw_cases",
    "draw_rows",
    "folds_table",
    "read_audit",
    "require_checks",
    "write_audit",
    "write_audit_page",
    "write_audits",
]
