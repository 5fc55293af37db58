"""From a checkpoint and a scan to findings in the scan's own grid."""

from joint_seg_cls.inference.predictor import Findings, Predictor
from joint_seg_cls.inference.write import write_findings, write_predictions

__all__ = ["Findings", "Predictor", "write_findings", "write_predictions"]
