"""Test of a checkpoint: one row per scan, and summary metrics."""

from joint_seg_cls.evaluation.cases import TestCase, from_cohort, from_store
from joint_seg_cls.evaluation.lesion_summary import LESION_METRICS, LESION_RULE, RECALLS, LesionMetric, mean_of
from joint_seg_cls.evaluation.per_case import EMPTY_RULE, evaluate_cases
from joint_seg_cls.evaluation.summary import print_summary, summarise
from joint_seg_cls.evaluation.write import write_evaluation

__all__ = [
    "EMPTY_RULE",
    "LESION_METRICS",
    "LESION_RULE",
    "RECALLS",
    "LesionMetric",
    "TestCase",
    "evaluate_cases",
    "from_cohort",
    "from_store",
    "mean_of",
    "print_summary",
    "summarise",
    "write_evaluation",
]
