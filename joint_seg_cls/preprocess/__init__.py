"""From scans as acquired to what the network sees; deterministic, and recorded so that it can be undone."""

from joint_seg_cls.preprocess.brain import GivenBrain
from joint_seg_cls.preprocess.intensity import ZScore
from joint_seg_cls.preprocess.layout import CropResize
from joint_seg_cls.preprocess.pipeline import ModelInput, Pipeline
from joint_seg_cls.preprocess.raters import combine_raters
from joint_seg_cls.preprocess.store import Prepared, prepare_cohort

__all__ = [
    "CropResize",
    "GivenBrain",
    "ModelInput",
    "Pipeline",
    "Prepared",
    "ZScore",
    "combine_raters",
    "prepare_cohort",
]
