"""The configuration of network and loss: every option builds, and defaults equal those of the code."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from joint_seg_cls.losses import DiceLoss, JointLoss, NoCrossTaskLoss
from joint_seg_cls.networks import JointNetwork, NoClassification, NoSegmentation

CONF = Path(__file__).parents[2] / "conf"
SMALL = ["network.channels=8", "network.image_size=32"]


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=["+width=paper", "+network=joint", "+loss=joint", *overrides])


def leaves(group):
    return sorted(f"{path.parent.relative_to(CONF)}={path.stem}" for path in (CONF / group).glob("*/*.yaml"))


def test_the_configured_network_is_the_default():
    configured, plain = instantiate(composed().network), JointNetwork()
    assert str(configured) == str(plain)
    assert configured.image_size == plain.image_size
    assert {n: p.shape for n, p in configured.named_parameters()} == {n: p.shape for n, p in plain.named_parameters()}


def test_width_size_modalities_and_classes_reach_every_part():
    cfg = composed("network.channels=4", "network.image_size=[32,16,48]", "network.in_channels=2", "network.classes=3")
    prediction = instantiate(cfg.network)(torch.zeros(1, 2, 32, 16, 48))
    assert prediction.lesion_logits.shape == (1, 1, 32, 16, 48)
    assert prediction.disease_logits.shape == (1, 3)


@pytest.mark.parametrize("leaf", leaves("network"))
def test_every_part_of_the_network_builds_and_runs(leaf):
    absent = leaf.endswith(("segmentation=none", "classification=none"))
    chosen = [leaf, "network/guidance=none"] if absent else [leaf]
    network = instantiate(composed(*chosen, *SMALL).network)
    prediction = network(torch.zeros(1, 1, 32, 32, 32))
    assert (prediction.lesion_logits is None) is isinstance(network.segmentation, NoSegmentation)
    assert (prediction.disease_logits is None) is isinstance(network.classification, NoClassification)


@pytest.mark.parametrize("leaf", leaves("loss"))
def test_every_part_of_the_loss_builds(leaf):
    assert isinstance(instantiate(composed(leaf).loss), JointLoss)


def test_the_configured_loss_is_the_default():
    loss, plain = instantiate(composed().loss), JointLoss()
    assert str(loss) == str(plain)
    for name in ("segmentation_weight", "classification_weight", "cross_task_weight"):
        assert getattr(loss, name) == getattr(plain, name)
    assert vars(loss.cross_task)["eta"] == vars(plain.cross_task)["eta"]
    assert isinstance(loss.segmentation, DiceLoss)
    assert isinstance(instantiate(composed("loss/cross_task=none").loss).cross_task, NoCrossTaskLoss)


def test_class_weights_are_a_list():
    loss = instantiate(composed("loss.classification.class_weights=[1,2.5]").loss)
    assert loss.classification.class_weights.tolist() == [1, 2.5]
