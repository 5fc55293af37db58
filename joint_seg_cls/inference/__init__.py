"""Prediction for a scan with a checkpoint or several, with results in the scan's own grid."""

from joint_seg_cls.inference.abstention import Limits
from joint_seg_cls.inference.anatomy import FittedAnatomy, fit_anatomy
from joint_seg_cls.inference.case import CaseFindings, case_findings, summary_of
from joint_seg_cls.inference.cost import Stopwatch
from joint_seg_cls.inference.ensemble import Ensemble
from joint_seg_cls.inference.examine import PredictionOptions, examine
from joint_seg_cls.inference.existing import finished, refuse_foreign_files
from joint_seg_cls.inference.familiarity import TrainingScans, quantiles_of, ranges_of, scan_ranges, unlike, unlike_scan
from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.inference.predictor import Predictor, require_views
from joint_seg_cls.inference.write import write_failures, write_findings, write_predictions

__all__ = [
    "CaseFindings",
    "Ensemble",
    "Findings",
    "FittedAnatomy",
    "Limits",
    "PredictionOptions",
    "Predictor",
    "Stopwatch",
    "TrainingScans",
    "case_findings",
    "examine",
    "finished",
    "fit_anatomy",
    "quantiles_of",
    "ranges_of",
    "refuse_foreign_files",
    "require_views",
    "scan_ranges",
    "summary_of",
    "unlike",
    "unlike_scan",
    "write_failures",
    "write_findings",
    "write_predictions",
]
