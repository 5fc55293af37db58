"""Folds, augmentation, dataset, and the Lightning data module."""

from joint_seg_cls.data.augmentation import RandFlipRotated
from joint_seg_cls.data.datamodule import JointDataModule
from joint_seg_cls.data.dataset import Augmentation, CaseDataset, collate
from joint_seg_cls.data.folds import Folds, Split, make_folds
from joint_seg_cls.data.sampler import CaseSampler

__all__ = [
    "Augmentation",
    "CaseDataset",
    "CaseSampler",
    "Folds",
    "JointDataModule",
    "RandFlipRotated",
    "Split",
    "collate",
    "make_folds",
]
