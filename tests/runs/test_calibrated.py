"""The end of a training records a temperature, and the ranges of its training scans, in the tested weights."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.data import Folds, JointDataModule
from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.metrics import fit_temperature
from joint_seg_cls.runs.testing import calibrate
from joint_seg_cls.scan import FORMAT as STORE_FORMAT
from joint_seg_cls.training import FORMAT, RunFolder, amend_recipe, read_checkpoint


class Overconfident(nn.Module):
    """Classify by where the image is brighter, in a quarter of the scans wrongly, with large logits."""

    tasks = ("disease",)

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, image):
        score = (image[:, 0, 8:].mean(dim=(1, 2, 3)) - image[:, 0, :8].mean(dim=(1, 2, 3))).sign()
        score = score * torch.where(image[:, 0, 0, 0, 0] > 0.67, -1, 1)  # a standard normal voxel
        return Prediction(disease_logits=torch.stack([-score, score], dim=1) * self.scale / 2)


@pytest.fixture
def trained(make_store, tmp_path):
    """A finished training on 40 scans, without the recipe's entries on calibration."""

    def make(validation_fraction):
        store = make_store(tmp_path / "store", subjects=40)
        data = JointDataModule(
            store, 0, folds=Folds(count=2), validation_fraction=validation_fraction, workers=0, augmentation=None
        )
        data.setup()
        facts = {"collection": "store", "fold": 0, "seed": 0, "data_hash": data.store.content_hash}
        recipe = {
            "format": FORMAT,
            "network": {"_target_": "x.Y"},
            "preprocess": data.store.settings,
            "preprocess_format": STORE_FORMAT,
            "classes": ["MS", "NMOSD"],
            "modalities": ["flair"],
            "model_shape": [16, 16, 16],
            "lesion_threshold": 0.5,
            "variant": "x",
            "trained_on": facts,
        }
        run = RunFolder(tmp_path / "run")
        run.checkpoints.mkdir(parents=True)
        weights = {"network.scale": torch.tensor(20.0)}
        torch.save({"state_dict": weights, "epoch": 0, "joint_seg_cls": recipe}, run.last)
        return run, data

    return make


def test_the_temperature_is_that_of_the_validation_scans_alone(trained):
    run, data = trained(0.5)
    before = read_checkpoint(run.path).recipe
    assert (before.temperature, before.calibration_scans, before.ranges) == (1.0, 0, {})
    calibrate(run, data, device="cpu", network=Overconfident())
    recipe = read_checkpoint(run.path).recipe
    cases = {case.case: case for case in data.store.cases}
    own = [cases[name] for name in data.split.validation]
    network = Overconfident().eval()
    with torch.no_grad():
        logits = [network(torch.from_numpy(np.array(case.image()))[None]).disease_logits[0] for case in own]
    probability = torch.stack(logits).double().softmax(dim=1).numpy()
    expected = fit_temperature(probability, np.array([["MS", "NMOSD"].index(case.disease) for case in own]))
    assert recipe.temperature == pytest.approx(expected)
    assert recipe.temperature > 5
    assert recipe.calibration_scans == len(own) == 10
    assert recipe.ranges["longest_mm"] == pytest.approx((1.5, 1.5))
    assert recipe.ranges["brain_ml"] == pytest.approx((31.185, 31.185))  # all 20 x 21 x 22 voxels of 1.5 mm
    assert set(recipe.intensities) == {"0.25", "0.5", "0.75", "0.95"}
    assert recipe.lesion_free == ()


def test_it_is_done_once(trained):
    run, data = trained(0.5)
    calibrate(run, data, device="cpu", network=Overconfident())
    content = run.last.read_bytes()
    calibrate(run, data, device="cpu", network=None)
    assert run.last.read_bytes() == content


def test_without_validation_scans_probabilities_stay_as_they_are(trained):
    run, data = trained(0.0)
    calibrate(run, data, device="cpu", network=None)
    recipe = read_checkpoint(run.path).recipe
    assert (recipe.temperature, recipe.calibration_scans) == (1.0, 0)
    assert recipe.ranges


def test_too_few_validation_scans_are_named(trained, caplog):
    run, data = trained(0.2)
    with caplog.at_level(logging.INFO, "joint_seg_cls"):
        calibrate(run, data, device="cpu", network=Overconfident())
    assert "expected 10 validation scans" in caplog.text
    assert read_checkpoint(run.path).recipe.calibration_scans == 0


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"temperature": 0.0}, "a temperature from 0.01 to 1000"),
        ({"temperature": float("nan")}, "a temperature from 0.01 to 1000"),
        ({"ranges": {"brain_ml": [2, 1]}}, "the lower first"),
        ({"calibration_scans": -1}, "a whole number from 0"),
        ({"lesion_free": ["HC", "HC"]}, "a list of different names"),
    ],
)
def test_a_recipe_with_other_values_is_refused(trained, entry, says):
    run, _ = trained(0.5)
    content = run.last.read_bytes()
    with pytest.raises(CheckpointError, match=says):
        amend_recipe(run.last, entry)
    assert run.last.read_bytes() == content
