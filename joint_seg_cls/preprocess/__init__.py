"""From scans as acquired to what the network sees; deterministic, and recorded so that it can be undone."""

from joint_seg_cls.preprocess.bias_field import BiasField, Corrected, NoBiasField
from joint_seg_cls.preprocess.brain import Brain, BrainMask, ExtractedBrain, Extractor, GivenBrain
from joint_seg_cls.preprocess.intensity import ZScore
from joint_seg_cls.preprocess.layout import CropResize
from joint_seg_cls.preprocess.pipeline import ModelInput, Pipeline
from joint_seg_cls.preprocess.raters import combine_raters
from joint_seg_cls.preprocess.store import Prepared, prepare_cohort

__all__ = [
    "BiasField",
    "Brain",
    "BrainMask",
    "Corrected",
    "CropResize",
    "ExtractedBrain",
    "Extractor",
    "GivenBrain",
    "ModelInput",
    "NoBiasField",
    "Pipeline",
    "Prepared",
    "ZScore",
    "combine_raters",
    "prepare_cohort",
]
