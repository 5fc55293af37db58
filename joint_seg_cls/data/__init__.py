"""Folds, augmentation, dataset, and the Lightning data module."""

from joint_seg_cls.data.augmentation import FlipRotation, RandFlipRotated
from joint_seg_cls.data.datamodule import JointDataModule
from joint_seg_cls.data.dataset import Augmentation, CaseDataset, collate
from joint_seg_cls.data.folds import Folds, make_folds
from joint_seg_cls.data.frozen import freeze, frozen_files, read_frozen
from joint_seg_cls.data.leave_one_out import LeaveOneOut
from joint_seg_cls.data.patches import PatchChoice, RandPatchd
from joint_seg_cls.data.sampler import CaseSampler
from joint_seg_cls.data.split import HELD_OUT, FoldMaker, FoldName, Split, folds_hash
from joint_seg_cls.data.split_check import leaking_subjects
from joint_seg_cls.data.split_file import SplitFile

__all__ = [
    "HELD_OUT",
    "Augmentation",
    "CaseDataset",
    "CaseSampler",
    "FlipRotation",
    "FoldMaker",
    "FoldName",
    "Folds",
    "JointDataModule",
    "LeaveOneOut",
    "PatchChoice",
    "RandFlipRotated",
    "RandPatchd",
    "Split",
    "SplitFile",
    "collate",
    "folds_hash",
    "freeze",
    "frozen_files",
    "leaking_subjects",
    "make_folds",
    "read_frozen",
]
