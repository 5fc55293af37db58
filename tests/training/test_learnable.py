"""Requirements on the training data depend on the network's tasks and on the training scans."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks import (
    ClassificationBaseline,
    JointNetwork,
    NoClassification,
    NoGuidance,
    NoSegmentation,
    SegmentationBaseline,
    tasks_of,
)
from joint_seg_cls.runs.data_checks import _reaches_last_batch

SIZE = (16, 16, 16)


class Lesions(nn.Module):
    """A user's segmentation network without declared tasks."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, image):
        return Prediction(lesion_logits=self.last(image))


class Declared(Lesions):
    tasks = ("lesions",)

    def forward(self, image):
        if image.mean().item() > 1e9:  # fails on the meta device
            return Prediction()
        return super().forward(image)


class Undeclared(Declared):
    tasks = None


class Wrong(Lesions):
    tasks = ("masks",)


class Plain(Lesions):
    def forward(self, image):
        return self.last(image)


def on_meta(make):
    with torch.device("meta"):
        return make()


@pytest.mark.parametrize(
    ("make", "tasks"),
    [
        (lambda: JointNetwork(channels=4, image_size=16), {"lesions", "disease"}),
        (
            lambda: JointNetwork(None, NoSegmentation(), NoGuidance(), channels=4, image_size=16),
            {"disease"},
        ),
        (
            lambda: JointNetwork(None, None, NoGuidance(), NoClassification(), channels=4, image_size=16),
            {"lesions"},
        ),
        (lambda: SegmentationBaseline(nn.Identity()), {"lesions"}),
        (lambda: ClassificationBaseline(nn.Identity()), {"disease"}),
        (Lesions, {"lesions"}),
        (Declared, {"lesions"}),
    ],
)
def test_tasks_are_declared_or_inferred_from_outputs(make, tasks):
    network = on_meta(make)
    assert tasks_of(network, 1, SIZE) == tasks
    assert network.training


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Undeclared, r'network Undeclared: expected an attribute tasks.*declare tasks = \("lesions",\)'),
        (Wrong, r"Wrong\.tasks: expected lesions, disease or both, found masks"),
        (Plain, r"network Plain: expected a joint_seg_cls\.batch\.Prediction from its forward pass, found Tensor"),
    ],
)
def test_networks_with_unknown_tasks_are_refused_with_a_remedy(make, message):
    with pytest.raises(ConfigError, match=message):
        tasks_of(on_meta(make), 1, SIZE)


@pytest.mark.parametrize(
    ("words", "learns"),
    [
        (("ablation=only_seg",), True),
        (("--config-dir", "own", "network=mine", "loss/cross_task=none"), True),
        (("ablation=only_cls",), False),
        ((), False),
    ],
)
def test_a_segmentation_needs_no_fold_with_every_disease(jsc, make_store, tmp_path, monkeypatch, words, learns):
    store = make_store(tmp_path / "store", subjects=7, disease=("MS",) * 6 + ("NMOSD",))
    small = [
        *("tracking=none", "data.workers=0", "data.folds.count=2", "trainer.accelerator=cpu", "trainer.max_epochs=1"),
        *("evaluate=false", "trainer.limit_train_batches=1"),
        *(() if "network=mine" in words else ("network.channels=4",)),
    ]
    (tmp_path / "own" / "network").mkdir(parents=True)
    (tmp_path / "own" / "network" / "mine.yaml").write_text(f"_target_: {__name__}.Lesions\n")
    monkeypatch.chdir(tmp_path)
    code, _, err = jsc("train", f"data.store={store}", f"runs={tmp_path / 'runs'}", *small, "protocol=paper", *words)
    assert (code == 0) is learns, err
    if not learns:
        assert "the number of cases of the smallest class, NMOSD, found data.folds.count=2" in err
        assert err.count("error:") == 1


@pytest.mark.parametrize(
    ("limit", "is_reached"),
    [("0.5", False), ("1", False), ("2", True), ("1.0", True), ("0.99", False), ("null", True), ("5", True)],
)
def test_a_last_batch_is_checked_only_if_an_epoch_reaches_it(limit, is_reached):
    assert _reaches_last_batch(OmegaConf.create(f"limit_train_batches: {limit}"), 2) is is_reached
    assert _reaches_last_batch(OmegaConf.create(f"overfit_batches: {limit}"), 2) is is_reached
