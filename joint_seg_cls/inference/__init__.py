"""Prediction for a scan with a checkpoint, with results in the scan's own grid."""

from joint_seg_cls.inference.predictor import Findings, Predictor, require_views
from joint_seg_cls.inference.write import write_findings, write_predictions

__all__ = ["Findings", "Predictor", "require_views", "write_findings", "write_predictions"]
