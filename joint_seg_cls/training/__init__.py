"""Training one network on one fold: the module, its run folder, checkpoints and tracking."""

from joint_seg_cls.training.backends import CsvTracking, MlflowTracking, TensorBoardTracking, WandbTracking
from joint_seg_cls.training.checkpoint import FORMAT, Checkpoint, find_checkpoint, read_checkpoint
from joint_seg_cls.training.fit import fit
from joint_seg_cls.training.module import JointModule
from joint_seg_cls.training.panels import Panel, choose_cases
from joint_seg_cls.training.plain_data import not_plain, shown
from joint_seg_cls.training.pseudonyms import Pseudonyms
from joint_seg_cls.training.published import publish_test, publish_weights
from joint_seg_cls.training.recipe import Recipe
from joint_seg_cls.training.run_folder import RunFolder
from joint_seg_cls.training.tracking import PanelPlan, RunCard, Tracker, start_tracking

__all__ = [
    "FORMAT",
    "Checkpoint",
    "CsvTracking",
    "JointModule",
    "MlflowTracking",
    "Panel",
    "PanelPlan",
    "Pseudonyms",
    "Recipe",
    "RunCard",
    "RunFolder",
    "TensorBoardTracking",
    "Tracker",
    "WandbTracking",
    "choose_cases",
    "find_checkpoint",
    "fit",
    "not_plain",
    "publish_test",
    "publish_weights",
    "read_checkpoint",
    "shown",
    "start_tracking",
]
