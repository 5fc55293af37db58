"""Readers of folders: each finds the scans of one kind of source and returns the rows of a cohort table."""

from joint_seg_cls.scan.finder import Remark
from joint_seg_cls.scan.readers.bids import BidsReader
from joint_seg_cls.scan.readers.dicom import DicomReader
from joint_seg_cls.scan.readers.dicom_choice import SeriesChoice, StackGeometry
from joint_seg_cls.scan.readers.dicom_headers import is_dicom
from joint_seg_cls.scan.readers.isbi2015 import Isbi2015Reader
from joint_seg_cls.scan.readers.pattern import PatternReader
from joint_seg_cls.scan.readers.reader import Found, FoundScan, Reader
from joint_seg_cls.scan.readers.table import TableReader
from joint_seg_cls.scan.readers.write import require_out, write_cohort_table

__all__ = [
    "BidsReader",
    "DicomReader",
    "Found",
    "FoundScan",
    "Isbi2015Reader",
    "PatternReader",
    "Reader",
    "Remark",
    "SeriesChoice",
    "StackGeometry",
    "TableReader",
    "is_dicom",
    "require_out",
    "write_cohort_table",
]
