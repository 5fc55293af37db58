"""What a training needs of its data follows from the tasks that its network learns, and from what it is trained on."""

import pytest
import torch
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

SIZE = (16, 16, 16)


class Lesions(nn.Module):
    """A user's own segmentation network, which declares nothing."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, image):
        return Prediction(lesion_logits=self.last(image))


class Declared(Lesions):
    tasks = ("lesions",)

    def forward(self, image):
        if image.mean().item() > 1e9:  # cannot be asked on the meta device
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
def test_tasks_are_those_that_a_network_declares_or_returns(make, tasks):
    network = on_meta(make)
    assert tasks_of(network, 1, SIZE) == tasks
    assert network.training


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Undeclared, r'network Undeclared: expected an attribute tasks.*declare tasks = \("lesions",\)'),
        (Wrong, r"Wrong\.tasks: expected lesions, disease or both, found masks"),
        (Plain, r"network Plain: expected a joint_seg_cls\.batch\.Prediction from its forward pass, found Tensor"),
    ],
)
def test_networks_whose_tasks_are_unknown_are_told_what_to_declare(make, says):
    with pytest.raises(ConfigError, match=says):
        tasks_of(on_meta(make), 1, SIZE)


@pytest.mark.parametrize(
    ("words", "learns"),
    [
        (("ablation=only_seg",), True),
        (("~network", f"+network={{_target_: {__name__}.Lesions}}", "loss/cross_task=none"), True),
        (("ablation=only_cls",), False),
        ((), False),
    ],
)
def test_a_segmentation_needs_no_fold_with_every_disease(jsc, make_store, tmp_path, words, learns):
    store = make_store(tmp_path / "store", subjects=7, disease=("MS",) * 6 + ("NMOSD",))
    small = [
        *("tracking=none", "data.workers=0", "data.folds.count=2", "trainer.accelerator=cpu", "trainer.max_epochs=1"),
        *("evaluate=false", "trainer.limit_train_batches=1"),
        *(() if "~network" in words else ("network.channels=4",)),
    ]
    code, _, err = jsc("train", f"data.store={store}", f"runs={tmp_path / 'runs'}", *small, "protocol=paper", *words)
    assert (code == 0) is learns, err
    if not learns:
        assert "the number of cases of the smallest class, NMOSD, found data.folds.count=2" in err
        assert err.count("error:") == 1


@pytest.mark.parametrize(
    ("limit", "is_refused"),
    [("0.5", False), ("1", False), ("2", True), ("1.0", True), ("0.99", False), ("null", True)],
)
def test_a_lone_scan_counts_only_where_an_epoch_reaches_it(limit, is_refused):
    from types import SimpleNamespace
    from typing import Any, cast

    from omegaconf import OmegaConf

    from joint_seg_cls.commands.learnable import _refuse_lone_scan

    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(1)

        def forward(self, image):
            return self.norm(image.mean((2, 3, 4)))

    store = SimpleNamespace(modalities=("flair",))
    data = SimpleNamespace(batch_size=2, split=SimpleNamespace(train="abc"), store=store, image_size=SIZE)
    config = OmegaConf.create(f"trainer: {{limit_train_batches: {limit}}}")
    if is_refused:
        with pytest.raises(ConfigError, match="one of a single scan"):
            _refuse_lone_scan(config, cast(Any, data), on_meta(Normalised))
    else:
        _refuse_lone_scan(config, cast(Any, data), on_meta(Normalised))
