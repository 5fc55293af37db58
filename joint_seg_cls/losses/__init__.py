"""The losses of Huang et al. 2024 [1], section 3.4: segmentation, classification, cross-task, and their sum.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from joint_seg_cls.losses.classification import CrossEntropyLoss
from joint_seg_cls.losses.cross_task import CrossTaskLoss, NoCrossTaskLoss
from joint_seg_cls.losses.joint import JointLoss
from joint_seg_cls.losses.segmentation import DiceCrossEntropyLoss, DiceLoss
from joint_seg_cls.losses.terms import ClassificationLoss, ConsistencyLoss, SegmentationLoss, mean_over

__all__ = [
    "ClassificationLoss",
    "ConsistencyLoss",
    "CrossEntropyLoss",
    "CrossTaskLoss",
    "DiceCrossEntropyLoss",
    "DiceLoss",
    "JointLoss",
    "NoCrossTaskLoss",
    "SegmentationLoss",
    "mean_over",
]
