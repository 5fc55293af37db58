"""Metrics of segmentation and diagnosis, their confidence intervals, and paired tests."""

from joint_seg_cls.metrics.across_folds import AcrossFolds, Ratio, across_folds
from joint_seg_cls.metrics.bootstrap import (
    RESAMPLES,
    Interval,
    bootstrap_interval,
    bootstrap_ratio,
    proportion_interval,
)
from joint_seg_cls.metrics.by_size import SIZES, OfSize, detected_by_size
from joint_seg_cls.metrics.calibration import (
    BINS,
    MIN_SCANS,
    Coverage,
    Reliability,
    coverage_curve,
    cross_entropy,
    expected_calibration_error,
    fit_temperature,
    reliability,
    temperature_scaled,
)
from joint_seg_cls.metrics.collection import DiseaseOverScans, MeanOverScans, task_metrics
from joint_seg_cls.metrics.delong import compare_areas, placements
from joint_seg_cls.metrics.disease import accuracy, auc, sensitivity, specificity
from joint_seg_cls.metrics.isbi import isbi_score
from joint_seg_cls.metrics.lesion_wise import LesionWise, lesion_wise
from joint_seg_cls.metrics.msseg import Msseg, msseg
from joint_seg_cls.metrics.paired import Comparison, compare_accuracies, compare_means, sign_flip_test
from joint_seg_cls.metrics.paired_areas import compare_aucs, compare_multiclass_aucs
from joint_seg_cls.metrics.power import POWER, detectable_accuracy, detectable_mean, detectable_normal
from joint_seg_cls.metrics.summary import Summary, empty_references, summarise
from joint_seg_cls.metrics.surface import SURFACE_TOLERANCE_MM, diagonal_mm, hd95_mm, surface_dice
from joint_seg_cls.metrics.voxel_wise import dice, ppv, tpr, volume_difference

__all__ = [
    "BINS",
    "MIN_SCANS",
    "POWER",
    "RESAMPLES",
    "SIZES",
    "SURFACE_TOLERANCE_MM",
    "AcrossFolds",
    "Comparison",
    "Coverage",
    "DiseaseOverScans",
    "Interval",
    "LesionWise",
    "MeanOverScans",
    "Msseg",
    "OfSize",
    "Ratio",
    "Reliability",
    "Summary",
    "accuracy",
    "across_folds",
    "auc",
    "bootstrap_interval",
    "bootstrap_ratio",
    "compare_accuracies",
    "compare_areas",
    "compare_aucs",
    "compare_means",
    "compare_multiclass_aucs",
    "coverage_curve",
    "cross_entropy",
    "detectable_accuracy",
    "detectable_mean",
    "detectable_normal",
    "detected_by_size",
    "diagonal_mm",
    "dice",
    "empty_references",
    "expected_calibration_error",
    "fit_temperature",
    "hd95_mm",
    "isbi_score",
    "lesion_wise",
    "msseg",
    "placements",
    "ppv",
    "proportion_interval",
    "reliability",
    "sensitivity",
    "sign_flip_test",
    "specificity",
    "summarise",
    "surface_dice",
    "task_metrics",
    "temperature_scaled",
    "tpr",
    "volume_difference",
]
