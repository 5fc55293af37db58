"""Scans, their geometry, the cohort table, and a prepared case on disk."""

from joint_seg_cls.scan.cohort import DISEASES, CohortCase, read_cohort
from joint_seg_cls.scan.grid import Geometry, Grid, reorient, resample
from joint_seg_cls.scan.prepared import PreparedCase, PreparedStore, read_case, read_record, write_case
from joint_seg_cls.scan.volume import Scan, read_mask, read_scan, write_volume

__all__ = [
    "DISEASES",
    "CohortCase",
    "Geometry",
    "Grid",
    "PreparedCase",
    "PreparedStore",
    "Scan",
    "read_case",
    "read_cohort",
    "read_mask",
    "read_record",
    "read_scan",
    "reorient",
    "resample",
    "write_case",
    "write_volume",
]
