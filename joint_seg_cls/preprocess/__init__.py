"""From scans as acquired to what the network sees; deterministic, and recorded so that it can be undone."""

from joint_seg_cls.preprocess.bet import Bet
from joint_seg_cls.preprocess.bias_field import BiasField, Corrected, NoBiasField
from joint_seg_cls.preprocess.brain import Brain, BrainMask, ExtractedBrain, Extractor, GivenBrain, TableBrain
from joint_seg_cls.preprocess.disk import bytes_a_case, bytes_of
from joint_seg_cls.preprocess.hd_bet import HdBet
from joint_seg_cls.preprocess.intensity import Intensity, TissueMode, ZScore, tissue_mode
from joint_seg_cls.preprocess.layout import CropResize, IsotropicPad, Layout
from joint_seg_cls.preprocess.n4 import N4
from joint_seg_cls.preprocess.pipeline import ModelInput, Pipeline
from joint_seg_cls.preprocess.quality import summary, warnings_of
from joint_seg_cls.preprocess.raters import combine_raters
from joint_seg_cls.preprocess.registration import ByHeader, Registered, Registration, Rigid, SameGrid
from joint_seg_cls.preprocess.store import Prepared, prepare_cohort

__all__ = [
    "N4",
    "Bet",
    "BiasField",
    "Brain",
    "BrainMask",
    "ByHeader",
    "Corrected",
    "CropResize",
    "ExtractedBrain",
    "Extractor",
    "GivenBrain",
    "HdBet",
    "Intensity",
    "IsotropicPad",
    "Layout",
    "ModelInput",
    "NoBiasField",
    "Pipeline",
    "Prepared",
    "Registered",
    "Registration",
    "Rigid",
    "SameGrid",
    "TableBrain",
    "TissueMode",
    "ZScore",
    "bytes_a_case",
    "bytes_of",
    "combine_raters",
    "prepare_cohort",
    "summary",
    "tissue_mode",
    "warnings_of",
]
