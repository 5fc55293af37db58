"""Prediction for a scan with a checkpoint, with results in the scan's own grid."""

from joint_seg_cls.inference.familiarity import quantiles_of, ranges_of, unlike
from joint_seg_cls.inference.predictor import Findings, Predictor, require_views
from joint_seg_cls.inference.write import write_findings, write_predictions

__all__ = [
    "Findings",
    "Predictor",
    "quantiles_of",
    "ranges_of",
    "require_views",
    "unlike",
    "write_findings",
    "write_predictions",
]
