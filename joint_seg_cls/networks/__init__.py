"""The joint network of Huang et al. 2024 [1] and its parts: sharing, segmentation, guidance, classification.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from joint_seg_cls.networks.baselines import ClassificationBaseline, SegmentationBaseline
from joint_seg_cls.networks.classification import NoClassification, ResidualClassifier
from joint_seg_cls.networks.components import (
    Classification,
    Classified,
    Guidance,
    Segmentation,
    Segmented,
    SharedFeatures,
    Sharing,
)
from joint_seg_cls.networks.convolution import memory_format
from joint_seg_cls.networks.global_branch import GlobalBranch
from joint_seg_cls.networks.guidance import AddGuidance, ConcatGuidance, DotGuidance, FullGuidance, NoGuidance
from joint_seg_cls.networks.input_size import checked_size
from joint_seg_cls.networks.joint import JointNetwork
from joint_seg_cls.networks.local_branch import LocalBranch
from joint_seg_cls.networks.location_maps import location_maps, summed_map
from joint_seg_cls.networks.meta_device import on_meta_device, prediction_shapes
from joint_seg_cls.networks.segmentation import NoSegmentation, SegmentationUNet, combine_scales
from joint_seg_cls.networks.sharing import (
    Crossover,
    CrossoverSharing,
    GlobalSharing,
    LocalSharing,
    SeparateStems,
    SingleStem,
)
from joint_seg_cls.networks.tasks import TASKS, declared_tasks, tasks_of
from joint_seg_cls.networks.windows import ShiftedWindows

__all__ = [
    "TASKS",
    "AddGuidance",
    "Classification",
    "ClassificationBaseline",
    "Classified",
    "ConcatGuidance",
    "Crossover",
    "CrossoverSharing",
    "DotGuidance",
    "FullGuidance",
    "GlobalBranch",
    "GlobalSharing",
    "Guidance",
    "JointNetwork",
    "LocalBranch",
    "LocalSharing",
    "NoClassification",
    "NoGuidance",
    "NoSegmentation",
    "ResidualClassifier",
    "Segmentation",
    "SegmentationBaseline",
    "SegmentationUNet",
    "Segmented",
    "SeparateStems",
    "SharedFeatures",
    "Sharing",
    "ShiftedWindows",
    "SingleStem",
    "checked_size",
    "combine_scales",
    "declared_tasks",
    "location_maps",
    "memory_format",
    "on_meta_device",
    "prediction_shapes",
    "summed_map",
    "tasks_of",
]
