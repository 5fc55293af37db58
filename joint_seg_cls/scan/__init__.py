"""Scans, their geometry, the cohort table, and prepared cases on disk."""

from joint_seg_cls.scan.cohort import DISEASES, CohortCase, read_cohort
from joint_seg_cls.scan.grid import Geometry, Grid, reorient, resample, resample_oblique
from joint_seg_cls.scan.header import VolumeHeader, read_header
from joint_seg_cls.scan.mask import (
    LesionValue,
    MaskGeometry,
    binary,
    place_mask,
    read_mask,
    refuse_mask,
    require_lesion_value,
    require_mask_geometry,
)
from joint_seg_cls.scan.prepared import (
    FORMAT,
    PreparedCase,
    PreparedStore,
    read_case,
    read_record,
    require_format,
)
from joint_seg_cls.scan.volume import Scan, read_scan, read_volume, require_contrast, write_volume
from joint_seg_cls.scan.write_prepared import write_case, write_labels, write_store_record

__all__ = [
    "DISEASES",
    "FORMAT",
    "CohortCase",
    "Geometry",
    "Grid",
    "LesionValue",
    "MaskGeometry",
    "PreparedCase",
    "PreparedStore",
    "Scan",
    "VolumeHeader",
    "binary",
    "place_mask",
    "read_case",
    "read_cohort",
    "read_header",
    "read_mask",
    "read_record",
    "read_scan",
    "read_volume",
    "refuse_mask",
    "reorient",
    "require_contrast",
    "require_format",
    "require_lesion_value",
    "require_mask_geometry",
    "resample",
    "resample_oblique",
    "write_case",
    "write_labels",
    "write_store_record",
    "write_volume",
]
