"""What is reported: overlap by voxel and by lesion, the disease over scans, and how sure one can be of a mean."""

from joint_seg_cls.metrics.bootstrap import Interval, bootstrap_interval
from joint_seg_cls.metrics.disease import accuracy, auc, confusion, sensitivity, specificity
from joint_seg_cls.metrics.lesion_wise import LesionWise, lesion_wise
from joint_seg_cls.metrics.summary import EmptyReferences, Summary, empty_references, summarise
from joint_seg_cls.metrics.voxel_wise import dice, ppv, tpr, volume_difference

__all__ = [
    "EmptyReferences",
    "Interval",
    "LesionWise",
    "Summary",
    "accuracy",
    "auc",
    "bootstrap_interval",
    "confusion",
    "dice",
    "empty_references",
    "lesion_wise",
    "ppv",
    "sensitivity",
    "specificity",
    "summarise",
    "tpr",
    "volume_difference",
]
