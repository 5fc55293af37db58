"""Training one network on one fold: the module, its run folder, checkpoints and tracking."""

from joint_seg_cls.training.checkpoint import FORMAT, Checkpoint, find_checkpoint, read_checkpoint
from joint_seg_cls.training.fit import fit
from joint_seg_cls.training.module import JointModule
from joint_seg_cls.training.run_folder import RunFolder
from joint_seg_cls.training.tracking import finish, wandb_tracker

__all__ = [
    "FORMAT",
    "Checkpoint",
    "JointModule",
    "RunFolder",
    "find_checkpoint",
    "finish",
    "fit",
    "read_checkpoint",
    "wandb_tracker",
]
