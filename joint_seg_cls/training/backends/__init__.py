"""Tracking services, one per file; optional packages are imported when a run is opened."""

from joint_seg_cls.training.backends.folder import CsvTracking
from joint_seg_cls.training.backends.mlflow import MlflowTracking
from joint_seg_cls.training.backends.tensorboard import TensorBoardTracking
from joint_seg_cls.training.backends.wandb import WandbTracking

__all__ = ["CsvTracking", "MlflowTracking", "TensorBoardTracking", "WandbTracking"]
