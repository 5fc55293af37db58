"""A small hand-made checkpoint, and a detector of successful attacks."""

import copy
import re
import sys

import pytest
import torch

_NETWORK = {
    "_target_": "joint_seg_cls.networks.JointNetwork",
    "sharing": {"_target_": "joint_seg_cls.networks.LocalSharing", "in_channels": 1, "channels": 4},
    "segmentation": {"_target_": "joint_seg_cls.networks.SegmentationUNet", "channels": 4},
    "guidance": {"_target_": "joint_seg_cls.networks.NoGuidance"},
    "classification": {"_target_": "joint_seg_cls.networks.ResidualClassifier", "channels": 4, "classes": 2},
    "in_channels": 1,
    "classes": 2,
    "channels": 4,
    "image_size": [16, 16, 16],
}
_PREPROCESS = {
    "_target_": "joint_seg_cls.preprocess.Pipeline",
    "brain": {"_target_": "joint_seg_cls.preprocess.NoExtraction"},
    "bias_field": {"_target_": "joint_seg_cls.preprocess.NoBiasField"},
    "registration": {"_target_": "joint_seg_cls.preprocess.ByHeader"},
    "layout": {"_target_": "joint_seg_cls.preprocess.CropResize", "image_size": 16},
    "intensity": {"_target_": "joint_seg_cls.preprocess.ZScore", "over": "brain"},
    "raters": "intersection",
    "lesion_value": None,
}


def _make_recipe():
    """Return the recipe of a checkpoint that can be used."""
    recipe = {
        "format": 1,
        "network": _NETWORK,
        "preprocess": _PREPROCESS,
        "preprocess_format": 2,
        "classes": ["MS", "NMOSD"],
        "modalities": ["flair"],
        "model_shape": [16, 16, 16],
        "lesion_threshold": 0.5,
        "variant": "joint",
        "trained_on": {"collection": "store", "fold": 0, "seed": 0, "data_hash": "d", "folds_hash": "f"},
    }
    return copy.deepcopy(recipe)


def _replaced(place, value):
    """Return the recipe with another value at a place."""
    recipe = _make_recipe()
    *outer, last = place
    inner = recipe
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return recipe


@pytest.fixture
def make_recipe():
    return _make_recipe


@pytest.fixture
def replaced():
    return _replaced


def _refused(call, path):
    """Check that a call is refused in one sentence that names the file and moves no cursor; return the sentence."""
    from joint_seg_cls.errors import CheckpointError

    with pytest.raises(CheckpointError) as caught:
        call()
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: expected "), sentence
    assert sentence.count(": expected ") == 1, sentence
    assert re.fullmatch(r"[^\x00-\x1f\x7f]{10,1200}", sentence), sentence
    assert sentence.endswith("."), sentence
    return sentence


@pytest.fixture
def refused():
    return _refused


@pytest.fixture(scope="session")
def weights():
    """The weights of the network of the recipe."""
    from joint_seg_cls.config.from_file import build_trusted

    torch.manual_seed(0)
    network = build_trusted(copy.deepcopy(_NETWORK), "nowhere", "network")
    return {f"network.{name}": value for name, value in network.state_dict().items()}


@pytest.fixture
def write_checkpoint(tmp_path, weights):
    """Return a function that writes a checkpoint; parts of it may be replaced."""

    def write(recipe=None, *, path=tmp_path / "x.ckpt", **entries):
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"state_dict": weights, "epoch": 0, "joint_seg_cls": _make_recipe() if recipe is None else recipe}
        content = {name: value for name, value in (content | entries).items() if value is not ...}
        torch.save(content, path)
        return path

    return write


def _use(path, trust=()):
    from joint_seg_cls.runs.load import load_pipeline, load_predictor

    predictor, checkpoint = load_predictor(path, device="cpu", trust=trust)
    return predictor, load_pipeline(checkpoint, trust)


@pytest.fixture
def use():
    """Return a function that does with a checkpoint what `jsc predict` does before it reads the first scan."""
    return _use


@pytest.fixture(scope="session")
def everything_is_imported(tmp_path_factory, weights):
    """Use a checkpoint once, so that what torch imports meanwhile is there."""
    path = tmp_path_factory.mktemp("once") / "x.ckpt"
    torch.save({"state_dict": weights, "epoch": 0, "joint_seg_cls": _make_recipe()}, path)
    _use(path)


@pytest.fixture
def canary(tmp_path, monkeypatch, everything_is_imported):
    """A file that hostile recipes try to make; at the end it is not there, and no module was imported."""
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)  # what an attack makes under a relative name
    path = here / "canary"
    before = set(sys.modules)
    yield path
    assert list(here.iterdir()) == []
    assert {name for name in set(sys.modules) - before if not name.startswith(("hypothesis", "_hypothesis"))} == set()
