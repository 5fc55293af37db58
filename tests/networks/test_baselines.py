"""Baselines return the same `Prediction` as the joint network and are trained with the same loss."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from joint_seg_cls.batch import Batch
from joint_seg_cls.config import resolvers
from joint_seg_cls.config.build import build
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks import ClassificationBaseline, SegmentationBaseline

SEGMENTATION = ("unet3d", "vnet", "attention_unet")
CLASSIFICATION = ("resnet34", "resnet50", "resnet101", "resnet152", "densenet121", "senet50")


@pytest.fixture
def network_config():
    resolvers.register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield lambda name, *overrides: compose("train", ["data.store=s", f"network={name}", *overrides]).network
    GlobalHydra.instance().clear()


def image(channels=1):
    return torch.randn(2, channels, 32, 32, 32, generator=torch.Generator().manual_seed(1))


def batch():
    mask = torch.zeros(2, 1, 32, 32, 32)
    mask[:, :, 10:14, 10:14, 10:14] = 1
    return Batch(image(), mask, torch.tensor([0, 1]), torch.tensor([True] * 2), torch.tensor([True] * 2), ["a", "b"])


def test_the_baselines_are_those_of_the_papers_tables():
    found = {path.stem for path in (config_folder() / "network").glob("*.yaml")} - {"joint"}
    assert found == {*SEGMENTATION, *CLASSIFICATION}


@pytest.mark.parametrize("name", [*SEGMENTATION, *CLASSIFICATION])
def test_every_baseline_has_one_head_and_accepts_the_cohorts_sizes(network_config, name):
    network = build(network_config(name, "network.in_channels=2", *_classes(name, 3))).eval()
    with torch.no_grad():
        prediction = network(image(channels=2))
    if name in SEGMENTATION:
        assert prediction.lesion_logits.shape == (2, 1, 32, 32, 32)
        assert prediction.disease_logits is None
    else:
        assert prediction.disease_logits.shape == (2, 3)
        assert prediction.lesion_logits is None
    assert prediction.scale_logits is prediction.location_maps is None


@pytest.mark.parametrize("name", ["unet3d", "attention_unet", "resnet34", "densenet121"])
def test_the_joint_loss_trains_a_baseline_through_its_one_term(network_config, name):
    resolvers.register()
    config = compose("train", ["data.store=s", f"network={name}"])
    network, loss = build(config.network), build(config.loss)
    terms = loss(network(image()), batch())
    terms["total"].backward()
    assert all(weight.grad is not None for weight in network.parameters())
    silent = "classification" if name in SEGMENTATION else "segmentation"
    assert (terms[silent].item(), terms["cross_task"].item()) == (0, 0)
    weight = 1.0 if name in SEGMENTATION else 0.8
    spoken = "segmentation" if name in SEGMENTATION else "classification"
    assert terms["total"].item() == pytest.approx(weight * terms[spoken].item())


def test_a_baseline_with_wrong_output_shapes_is_refused():
    halved = SegmentationBaseline(torch.nn.Conv3d(1, 1, kernel_size=2, stride=2))
    with pytest.raises(ConfigError, match="a map of the image's size"):
        halved(image())
    talkative = ClassificationBaseline(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32**3, 5)), classes=2)
    with pytest.raises(ConfigError, match="one score per class"):
        talkative(image())
    with pytest.raises(ConfigError, match="1 modalities"):
        talkative(image(channels=2))


def _classes(name, count):
    return [f"network.classes={count}"] if name in CLASSIFICATION else []
