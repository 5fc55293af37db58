"""The installed weights: complete, small, documented, and usable without settings."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
import torch

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.networks import JointNetwork
from joint_seg_cls.runs.load import load_pipeline, load_predictor
from joint_seg_cls.training import (
    find_checkpoint,
    read_archive,
    read_checkpoint,
    release,
    shipped,
    shipped_path,
)
from joint_seg_cls.training.recipe import RECIPE

SHAPE = (70, 84, 64)
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


def stripped_scan(tmp_path, name, levels):
    """Write an ellipsoid brain of 2 mm voxels with cortex, white matter, ventricles and a lesion of these levels."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1) - (np.array(SHAPE) - 1) / 2
    radius = np.linalg.norm(index / (0.46 * np.array(SHAPE)), axis=-1)
    cortex, white, fluid, lesion = levels
    data = np.where(radius < 1, cortex, 0.0)
    data[radius < 0.75] = white
    data[np.linalg.norm(index / [4, 14, 6], axis=-1) < 1] = fluid
    data[np.linalg.norm((index - [12, -6, 8]) / 3.5, axis=-1) < 1] = lesion
    data += np.where(data > 0, np.random.default_rng(0).normal(0, 8, SHAPE), 0)
    path = tmp_path / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(np.where(radius < 1, np.maximum(data, 1), 0).astype(np.float32), AFFINE), path)
    return path


def test_the_installed_weights_are_small_documented_and_half_precision():
    path = find_checkpoint("pretrained")
    assert path == shipped_path()
    assert path.stat().st_size <= 12e6
    checkpoint = read_checkpoint("pretrained")
    assert {value.dtype for value in checkpoint.weights.values() if value.is_floating_point()} == {torch.float16}
    assert checkpoint.recipe.views == "flips"
    assert checkpoint.recipe.intensities
    assert not checkpoint.recipe.ranges, "scenes have the voxels of no scanner"
    assert checkpoint.recipe.variant == "pretrained"
    card = (path.parent / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert "experiments/real_scans/pretrain.py" in card
    predictor, _ = load_predictor("pretrained", device="cpu")
    assert predictor.lesion_threshold == checkpoint.recipe.lesion_threshold
    assert load_pipeline(checkpoint).layout.model_shape == checkpoint.recipe.model_shape


def test_a_scan_is_predicted_without_a_checkpoint_and_one_of_another_contrast_gets_a_warning(jsc, tmp_path):
    flair = stripped_scan(tmp_path, "flair", levels=(115, 100, 25, 160))
    t1 = stripped_scan(tmp_path, "t1", levels=(65, 100, 25, 70))
    code, _, err = jsc("predict", f"input=[{flair},{t1}]", f"out={tmp_path / 'out'}", "views=one")
    assert code == 0, err
    record, other = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("flair", "t1"))
    assert not [warning for warning in record["warnings"] if "do not rely" in warning]
    assert all((tmp_path / "out" / f"{name}.html").is_file() for name in ("flair", "t1", "index"))
    assert [warning for warning in other["warnings"] if "intensities unlike" in warning]
    assert [warning for warning in other["warnings"] if "the file is named as T1" in warning]
    lesion = np.linalg.norm((np.argwhere(np.ones(SHAPE)) - (np.array(SHAPE) - 1) / 2 - [12, -6, 8]) / 3.5, axis=-1) < 1
    mask = np.asarray(nib.load(tmp_path / "out" / "flair_lesions.nii.gz").dataobj).ravel() > 0
    assert 2 * (mask & lesion).sum() / (mask.sum() + lesion.sum()) > 0.3


def test_a_standardised_scan_is_refused(jsc, tmp_path):
    scan = nib.load(stripped_scan(tmp_path, "raw", levels=(115, 100, 25, 160)))
    data = np.asarray(scan.dataobj)
    standardised = np.where(data > 0, (data - data[data > 0].mean()) / data[data > 0].std(), 0).astype(np.float32)
    nib.save(nib.Nifti1Image(standardised, AFFINE), tmp_path / "z.nii.gz")
    code, _, err = jsc("predict", f"input={tmp_path / 'z.nii.gz'}", f"out={tmp_path / 'out'}")
    assert code == 2
    assert err.strip().splitlines()[-1].count("expected") == 1


@pytest.mark.parametrize(
    ("content", "says"), [(None, "expected the pretrained weights of this installation"), (b"PK\x03\x04", "damaged")]
)
def test_missing_or_damaged_weights_are_refused_before_any_work(jsc, tmp_path, monkeypatch, content, says):
    path = tmp_path / "weights.ckpt"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(shipped, "_WEIGHTS", path)
    code, _, err = jsc("predict", f"input={tmp_path / 'nowhere.nii.gz'}", f"out={tmp_path / 'out'}")
    assert (code, "Traceback" in err) == (2, False), err
    assert str(path) in err
    assert says in err
    assert not (tmp_path / "out").exists()


def test_released_weights_have_no_optimiser_and_equal_predictions(tmp_path):
    recipe = {**read_archive(shipped_path())[RECIPE], "model_shape": [32, 32, 32]}
    torch.manual_seed(0)
    network = JointNetwork(channels=4, image_size=32)
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    content = {"state_dict": {**weights, "loss.w": torch.ones(1)}, "epoch": 3, "optimizer_states": [1], RECIPE: recipe}
    released = release(content, tmp_path, {"lesion_threshold": 0.4, "least_lesion_mm3": 7.0})
    assert set(released) == {"state_dict", "epoch", RECIPE}
    assert set(released["state_dict"]) == set(weights)
    torch.save(released, tmp_path / "x.ckpt")
    checkpoint = read_checkpoint(tmp_path / "x.ckpt")
    assert (checkpoint.recipe.lesion_threshold, checkpoint.recipe.least_lesion_mm3) == (0.4, 7.0)
    image = torch.randn(1, 1, 32, 32, 32)
    before = network.eval()(image).lesion_probability()
    checkpoint.load_into(network)
    torch.testing.assert_close(network(image).lesion_probability(), before, atol=5e-3, rtol=0)
    with pytest.raises(CheckpointError, match="a number from 0 to 1"):
        release(content, tmp_path, {"lesion_threshold": 2.0})
