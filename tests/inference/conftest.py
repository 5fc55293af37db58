"""Tiny networks with random weights and tiny scans, for tests of what is done with their outputs."""

import nibabel as nib
import numpy as np
import pytest
import torch

from joint_seg_cls.scan import FORMAT

SHAPE = (24, 26, 22)
AFFINE = np.array([[-5.0, 0, 0, 60], [0, -5.0, 0.5, 50], [0, 0.5, 5.0, -40], [0, 0, 0, 1]])
PREPROCESS = {
    "_target_": "joint_seg_cls.preprocess.Pipeline",
    "brain": {"_target_": "joint_seg_cls.preprocess.NoExtraction"},
    "bias_field": {"_target_": "joint_seg_cls.preprocess.NoBiasField"},
    "registration": {"_target_": "joint_seg_cls.preprocess.ByHeader"},
    "layout": {"_target_": "joint_seg_cls.preprocess.CropResize", "image_size": 16},
    "intensity": {"_target_": "joint_seg_cls.preprocess.ZScore", "over": "brain"},
    "raters": "intersection",
    "lesion_value": None,
}


@pytest.fixture(scope="session")
def write_checkpoint():
    """Return a function that writes a checkpoint of a network of 16 voxels a side with random weights."""

    def write(path, seed=0, channels=1, **recipe):
        from joint_seg_cls.networks import JointNetwork

        classes = recipe.setdefault("classes", ["MS", "NMOSD"])
        settings = {"in_channels": channels, "channels": 4, "image_size": 16, "classes": len(classes)}
        torch.manual_seed(seed)
        weights = JointNetwork(**settings).state_dict()
        content = {
            "format": 1,
            "network": {"_target_": "joint_seg_cls.networks.JointNetwork", **settings},
            "preprocess": PREPROCESS,
            "preprocess_format": FORMAT,
            "modalities": ["flair", "t1"][:channels],
            "model_shape": [16, 16, 16],
            "lesion_threshold": 0.5,
            "variant": "joint",
            "trained_on": {"collection": "store", "fold": seed, "seed": 0, "data_hash": "d"},
        }
        state = {f"network.{name}": value for name, value in weights.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": state, "epoch": 3, "joint_seg_cls": content | recipe}, path)
        return path

    return write


@pytest.fixture(scope="session")
def write_scan():
    """Return a function that writes a skull-stripped scan of noise with a bright box."""

    def write(path, seed=0):
        index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1) - (np.array(SHAPE) - 1) / 2
        brain = ((index / (0.45 * np.array(SHAPE))) ** 2).sum(axis=-1) < 1
        data = np.where(brain, np.random.default_rng(seed).normal(100, 10, SHAPE), 0)
        data[10:14, 11:15, 9:12] += 80
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(data.astype(np.float32), AFFINE), path)
        return path

    return write
