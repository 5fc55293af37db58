"""Checkpoints to resume from: missing parts are named before Lightning reads them."""

import pytest
import torch
from torch import nn

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.training.resume import require_resumable


class Module(nn.Module):
    """What a checkpoint's state is compared with."""

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(2, 3)


def whole():
    """Return the content of a checkpoint from which a training can resume."""
    recipe = {
        "format": 1,
        "network": {"_target_": "a.B"},
        "preprocess": {"_target_": "a.C"},
        "preprocess_format": 2,
        "classes": ["MS", "NMOSD"],
        "modalities": ["flair"],
        "model_shape": [16, 16, 16],
        "lesion_threshold": 0.5,
        "variant": "joint",
        "trained_on": {"collection": "s", "fold": 0, "seed": 0, "data_hash": "d"},
    }
    return {
        "joint_seg_cls": recipe,
        "state_dict": Module().state_dict(),
        "optimizer_states": [{"state": {}, "param_groups": [{"params": [0, 1], "lr": 0.1}]}],
        "lr_schedulers": [],
        "callbacks": {},
        "loops": {"fit_loop": {}},
        "epoch": 1,
        "global_step": 4,
        "pytorch-lightning_version": "2.6.6",
    }


def without_a_weight(content):
    del content["state_dict"]["network.bias"]


def with_another_weight(content):
    content["state_dict"]["network.more"] = torch.zeros(1)


def with_a_weight_of_another_shape(content):
    content["state_dict"]["network.bias"] = torch.zeros(7)


def with_a_word_as_weight(content):
    content["state_dict"]["network.bias"] = "x"


def without_the_optimiser(content):
    content["optimizer_states"] = []


def with_an_optimiser_of_fewer_parameters(content):
    content["optimizer_states"][0]["param_groups"][0]["params"] = [0]


def with_an_optimiser_of_no_groups(content):
    del content["optimizer_states"][0]["param_groups"]


def without_the_place_in_the_training(content):
    content["loops"] = {}


SPOILED = [
    without_a_weight,
    with_another_weight,
    with_a_weight_of_another_shape,
    with_a_word_as_weight,
    without_the_optimiser,
    with_an_optimiser_of_fewer_parameters,
    with_an_optimiser_of_no_groups,
    without_the_place_in_the_training,
    *(
        lambda content, key=key: content.pop(key)
        for key in (
            "joint_seg_cls", "state_dict", "optimizer_states", "loops", "epoch", "global_step", "callbacks",
            "lr_schedulers", "pytorch-lightning_version",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED)
def test_missing_parts_of_a_checkpoint_are_named(tmp_path, spoil):
    path, content = tmp_path / "last.ckpt", whole()
    torch.save(content, path)
    require_resumable(path, Module())  # whole it is taken
    spoil(content)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="expected") as caught:
        require_resumable(path, Module())
    assert str(caught.value).startswith(f"{path}: expected ")
    assert str(caught.value).count("\n") == 0


def test_an_incomplete_checkpoint_is_refused_and_its_remedy_works(train):
    run = train(epochs=1)
    (run / "DONE").unlink()
    last = run / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    del content["ended"]  # as if it had been interrupted
    for key, value in (
        ("optimizer_states", []),
        ("state_dict", dict(list(content["state_dict"].items())[1:])),
    ):
        torch.save(content | {key: value}, last)
        train(epochs=1, code=2)
        assert f"{last}: expected a checkpoint to resume from" in train.err
        assert "delete it to train this run again" in train.err
        assert train.err.count("error:") == 1
    last.unlink()
    train(epochs=1)
    assert (run / "DONE").is_file()
