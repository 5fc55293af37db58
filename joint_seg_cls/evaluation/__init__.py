"""Test of a checkpoint: one row per scan, and summary metrics."""

from joint_seg_cls.evaluation.cases import TestCase, from_cohort, from_store
from joint_seg_cls.evaluation.lesion_summary import (
    LESION_METRICS,
    LESION_RULE,
    RECALLS,
    REGION_RECALLS,
    LesionMetric,
    mean_of,
)
from joint_seg_cls.evaluation.per_case import EMPTY_RULE, evaluate_cases
from joint_seg_cls.evaluation.region_columns import WITHHELD
from joint_seg_cls.evaluation.regions import REGION_RULE, summarise_regions, withheld_note
from joint_seg_cls.evaluation.summary import DISEASE_METRICS, VOXEL_METRICS, print_summary, summarise
from joint_seg_cls.evaluation.write import EVALUATION_FILES, write_evaluation

__all__ = [
    "DISEASE_METRICS",
    "EMPTY_RULE",
    "EVALUATION_FILES",
    "LESION_METRICS",
    "LESION_RULE",
    "RECALLS",
    "REGION_RECALLS",
    "REGION_RULE",
    "VOXEL_METRICS",
    "WITHHELD",
    "LesionMetric",
    "TestCase",
    "evaluate_cases",
    "from_cohort",
    "from_store",
    "mean_of",
    "print_summary",
    "summarise",
    "summarise_regions",
    "withheld_note",
    "write_evaluation",
]
