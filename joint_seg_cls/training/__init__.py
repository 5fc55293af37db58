"""Training one network on one fold: the module, its run folder, checkpoints and tracking."""

from joint_seg_cls.training.backends import CsvTracking, MlflowTracking, TensorBoardTracking, WandbTracking
from joint_seg_cls.training.checkpoint import FORMAT, Checkpoint, find_checkpoint, read_checkpoint
from joint_seg_cls.training.fit import fit
from joint_seg_cls.training.module import JointModule
from joint_seg_cls.training.panels import Panel, choose_cases
from joint_seg_cls.training.provenance import ACCEPT_CODE
from joint_seg_cls.training.pseudonyms import Pseudonyms
from joint_seg_cls.training.published import publish_test, publish_weights
from joint_seg_cls.training.run_folder import RunFolder
from joint_seg_cls.training.tracking import PanelPlan, RunCard, Tracker, start_tracking
from joint_seg_cls.training.trained_scans import (
    MARKS,
    Overlap,
    kept_marks,
    known_marks,
    marks,
    marks_of,
    overlap,
    trained_marks,
)

__all__ = [
    "ACCEPT_CODE",
    "FORMAT",
    "MARKS",
    "Checkpoint",
    "CsvTracking",
    "JointModule",
    "MlflowTracking",
    "Overlap",
    "Panel",
    "PanelPlan",
    "Pseudonyms",
    "RunCard",
    "RunFolder",
    "TensorBoardTracking",
    "Tracker",
    "WandbTracking",
    "choose_cases",
    "find_checkpoint",
    "fit",
    "kept_marks",
    "known_marks",
    "marks",
    "marks_of",
    "overlap",
    "publish_test",
    "publish_weights",
    "read_checkpoint",
    "start_tracking",
    "trained_marks",
]
