"""A prepared store of eight tiny scans, and a run of the real command on it."""

import json

import numpy as np
import pytest

from joint_seg_cls.scan import Geometry, Grid, PreparedCase, write_case

SIDE = 16


def write_store(folder, subjects=8, modalities=("flair",), disease=("MS", "NMOSD"), seed=0):
    """Each scan holds a bright lesion: MS ones low, NMOSD ones high."""
    rng = np.random.default_rng(seed)
    native = Grid((20, 21, 22), np.diag([-1.5, -1.5, 1.5, 1.0]))
    geometry = Geometry(native, native.canonical().resized((SIDE, SIDE, SIDE)))
    names = []
    for number in range(subjects):
        kind = number % len(disease)
        image = rng.normal(0, 1, (len(modalities), SIDE, SIDE, SIDE)).astype(np.float32)
        lesion = np.zeros((SIDE, SIDE, SIDE), bool)
        start = 3 + 7 * kind
        lesion[start : start + 3, 5:9, 5:9] = True
        image[:, lesion] += 4
        native_lesion = geometry.to_native(lesion, linear=False)
        names.append(f"s{number}")
        case = PreparedCase(
            folder / names[-1], names[-1], names[-1], None, disease[kind], True, f"key{number}", geometry
        )
        write_case(
            case,
            image=image,
            brain_mask=np.ones_like(lesion),
            lesion_mask=lesion,
            lesion_mask_native=native_lesion,
        )
    record = {
        "settings": {
            "_target_": "joint_seg_cls.preprocess.Pipeline",
            "brain": {"_target_": "joint_seg_cls.preprocess.GivenBrain"},
            "layout": {"_target_": "joint_seg_cls.preprocess.CropResize", "image_size": SIDE},
            "intensity": {"_target_": "joint_seg_cls.preprocess.ZScore", "over": "brain"},
            "raters": "intersection",
        },
        "classes": list(disease),
        "modalities": list(modalities),
        "model_shape": [SIDE] * 3,
        "cases": names,
    }
    (folder / "store.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def make_store():
    return write_store


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store")
