"""Training one network on one fold: module, run folder, checkpoints and tracking."""

from joint_seg_cls.training.archive import read_archive
from joint_seg_cls.training.backends import CsvTracking, MlflowTracking, TensorBoardTracking, WandbTracking
from joint_seg_cls.training.callbacks import TrainingProgress
from joint_seg_cls.training.checked_trainer import checked_trainer
from joint_seg_cls.training.checkpoint import FORMAT, Checkpoint, amend_recipe, find_checkpoint, read_checkpoint
from joint_seg_cls.training.fit import fit, quiet_lightning
from joint_seg_cls.training.module import JointModule
from joint_seg_cls.training.panels import Panel, choose_cases
from joint_seg_cls.training.plain_data import not_plain, shown
from joint_seg_cls.training.provenance import ACCEPT_CODE
from joint_seg_cls.training.pseudonyms import Pseudonyms
from joint_seg_cls.training.published import publish_test, publish_weights
from joint_seg_cls.training.recipe import Recipe
from joint_seg_cls.training.resume import refuse_other_state
from joint_seg_cls.training.run_folder import RunFolder
from joint_seg_cls.training.schedule import Interval, Schedule, refuse_misuse, warmed_up
from joint_seg_cls.training.shipped import PRETRAINED, is_pretrained, release, shipped_path
from joint_seg_cls.training.step_cost import StepCost
from joint_seg_cls.training.tracking import PanelPlan, RunCard, Tracker, start_tracking
from joint_seg_cls.training.trained_scans import (
    MARKS,
    Overlap,
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
    "PRETRAINED",
    "Checkpoint",
    "CsvTracking",
    "Interval",
    "JointModule",
    "MlflowTracking",
    "Overlap",
    "Panel",
    "PanelPlan",
    "Pseudonyms",
    "Recipe",
    "RunCard",
    "RunFolder",
    "Schedule",
    "StepCost",
    "TensorBoardTracking",
    "Tracker",
    "TrainingProgress",
    "WandbTracking",
    "amend_recipe",
    "checked_trainer",
    "choose_cases",
    "find_checkpoint",
    "fit",
    "is_pretrained",
    "known_marks",
    "marks",
    "marks_of",
    "not_plain",
    "overlap",
    "publish_test",
    "publish_weights",
    "quiet_lightning",
    "read_archive",
    "read_checkpoint",
    "refuse_misuse",
    "refuse_other_state",
    "release",
    "shipped_path",
    "shown",
    "start_tracking",
    "trained_marks",
    "warmed_up",
]
