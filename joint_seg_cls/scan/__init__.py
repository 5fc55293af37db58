"""Scans, their geometry, the cohort table, and a prepared case on disk."""

from joint_seg_cls.scan.cohort import DISEASES, CohortCase, read_cohort
from joint_seg_cls.scan.grid import Geometry, Grid, reorient, resample
from joint_seg_cls.scan.prepared import PreparedCase, PreparedStore, read_case, read_record, write_case
from joint_seg_cls.scan.volume import (
    LesionValue,
    Scan,
    binary,
    read_mask,
    read_scan,
    read_volume,
    require_contrast,
    require_grid_of,
    write_volume,
)

__all__ = [
    "DISEASES",
    "CohortCase",
    "Geometry",
    "Grid",
    "LesionValue",
    "PreparedCase",
    "PreparedStore",
    "Scan",
    "binary",
    "read_case",
    "read_cohort",
    "read_mask",
    "read_record",
    "read_scan",
    "read_volume",
    "reorient",
    "require_contrast",
    "require_grid_of",
    "resample",
    "write_case",
    "write_volume",
]
