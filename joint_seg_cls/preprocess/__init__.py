"""From scans as acquired to the network's input; deterministic, recorded and invertible."""

from joint_seg_cls.preprocess.bet import Bet
from joint_seg_cls.preprocess.bias_field import BiasField, Corrected, NoBiasField
from joint_seg_cls.preprocess.brain import Brain, BrainMask, ExtractedBrain, Extractor, MaskFromTable, NoExtraction
from joint_seg_cls.preprocess.disk import bytes_a_case, bytes_of
from joint_seg_cls.preprocess.hd_bet import HdBet
from joint_seg_cls.preprocess.intensity import Intensity, TissueMode, ZScore, tissue_mode
from joint_seg_cls.preprocess.layout import CropResize, IsotropicPad, Layout
from joint_seg_cls.preprocess.model_input import ModelInput, Steps
from joint_seg_cls.preprocess.n4 import N4
from joint_seg_cls.preprocess.pipeline import Pipeline, image_hash, voxel_hash
from joint_seg_cls.preprocess.quality import (
    counted_warnings,
    lost_lesions,
    summary,
    warnings_of,
    without_numbers,
)
from joint_seg_cls.preprocess.raters import combine_raters
from joint_seg_cls.preprocess.registration import ByHeader, Registered, Registration, Rigid, SameGrid
from joint_seg_cls.preprocess.skull import LARGEST_BRAIN_ML, detect_skull
from joint_seg_cls.preprocess.store import Prepared, case_key, prepare_cohort
from joint_seg_cls.preprocess.to_template import TemplateFit, register_to_template, tissue_brightness

__all__ = [
    "LARGEST_BRAIN_ML",
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
    "HdBet",
    "Intensity",
    "IsotropicPad",
    "Layout",
    "MaskFromTable",
    "ModelInput",
    "NoBiasField",
    "NoExtraction",
    "Pipeline",
    "Prepared",
    "Registered",
    "Registration",
    "Rigid",
    "SameGrid",
    "Steps",
    "TemplateFit",
    "TissueMode",
    "ZScore",
    "bytes_a_case",
    "bytes_of",
    "case_key",
    "combine_raters",
    "counted_warnings",
    "detect_skull",
    "image_hash",
    "lost_lesions",
    "prepare_cohort",
    "register_to_template",
    "summary",
    "tissue_brightness",
    "tissue_mode",
    "voxel_hash",
    "warnings_of",
    "without_numbers",
]
