"""Tracking services, one a file; each imports what it needs only when it is opened."""

from joint_seg_cls.training.backends.folder import CsvTracking
from joint_seg_cls.training.backends.mlflow import MlflowTracking
from joint_seg_cls.training.backends.tensorboard import TensorBoardTracking
from joint_seg_cls.training.backends.wandb import WandbTracking

__all__ = ["CsvTracking", "MlflowTracking", "TensorBoardTracking", "WandbTracking"]
