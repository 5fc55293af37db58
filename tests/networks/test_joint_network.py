"""The complete network: sizes, identities between its outputs, and gradients."""

import io

import pytest
import torch

from joint_seg_cls.errors import CheckpointError, ConfigError
from joint_seg_cls.networks import (
    AddGuidance,
    ConcatGuidance,
    DotGuidance,
    FullGuidance,
    GlobalSharing,
    JointNetwork,
    LocalSharing,
    NoClassification,
    NoGuidance,
    NoSegmentation,
    ResidualClassifier,
    SegmentationUNet,
    SeparateStems,
    SingleStem,
)

SIZE = (32, 48, 16)  # unequal sides detect permuted axes


@pytest.fixture
def network():
    torch.manual_seed(0)
    return JointNetwork(channels=8, image_size=SIZE)


@pytest.fixture
def image():
    return torch.randn(2, 1, *SIZE, generator=torch.Generator().manual_seed(1))


def test_the_default_is_the_papers_network():
    network = JointNetwork()
    assert 5e6 < sum(p.numel() for p in network.parameters()) < 7e6
    assert network.image_size == (160, 160, 160)
    assert network.sharing.global_branch.attention.window == (5, 5, 5)
    assert [block.body[0][0].out_channels for block in network.classification.blocks] == [64, 128, 256]
    assert network.classification.score.in_features == 448
    assert [output.in_channels for output in network.segmentation.outputs] == [128, 64, 32, 16]


def test_every_output_has_the_documented_grid(network, image):
    prediction = network(image)
    assert prediction.lesion_logits.shape == (2, 1, *SIZE)
    grids = [tuple(side // step for side in SIZE) for step in (8, 4, 2, 1)]
    assert [m.shape for m in prediction.scale_logits] == [(2, 1, *grid) for grid in grids]
    assert prediction.disease_logits.shape == (2, 2)
    assert [m.shape for m in prediction.location_maps] == [(2, 2, *grid) for grid in grids[:3]]


def test_modalities_classes_and_width_can_be_set():
    prediction = JointNetwork(in_channels=3, classes=4, channels=4, image_size=32)(torch.randn(1, 3, 32, 32, 32))
    assert prediction.disease_logits.shape == (1, 4)
    assert prediction.location_maps[0].shape == (1, 4, 4, 4, 4)


def test_lesion_logits_are_the_weighted_sum_of_the_four_scales(network, image):
    prediction = network(image)
    b, x, y, z = 1, 29, 13, 7
    expected = sum(
        weight * float(maps[b, 0, x // step, y // step, z // step].detach())
        for weight, maps, step in zip((0.25, 0.25, 0.5, 1.0), prediction.scale_logits, (8, 4, 2, 1), strict=True)
    )
    assert float(prediction.lesion_logits[b, 0, x, y, z].detach()) == pytest.approx(expected, rel=1e-5)
    slow = sum(
        weight * maps.repeat_interleave(step, 2).repeat_interleave(step, 3).repeat_interleave(step, 4)
        for weight, maps, step in zip((0.25, 0.25, 0.5, 1.0), prediction.scale_logits, (8, 4, 2, 1), strict=True)
    )
    torch.testing.assert_close(prediction.lesion_logits, slow)


def test_class_scores_are_the_bias_plus_the_means_of_the_location_maps(network, image):
    network.double()
    prediction = network(image.double())
    means = sum(maps.mean((2, 3, 4)) for maps in prediction.location_maps)
    torch.testing.assert_close(prediction.disease_logits, network.classification.score.bias + means, rtol=0, atol=1e-12)


def test_location_maps_are_features_weighted_by_the_linear_layer(network, image):
    seen = []
    for block in network.classification.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    maps = network(image).location_maps
    weight, start = network.classification.score.weight, 0
    for features, found in zip(seen, maps[::-1], strict=True):
        here = weight[:, start : start + features.shape[1]]
        torch.testing.assert_close(found, torch.einsum("bkxyz,ck->bcxyz", features, here), rtol=1e-4, atol=1e-5)
        start += features.shape[1]
    assert start == weight.shape[1]


def test_initial_lesion_probabilities_are_low(network, image):
    assert all(float(output.bias.detach()) == -4 for output in network.segmentation.outputs)
    assert all(float(output.bias.detach()) == 0.5 for output in SegmentationUNet(8, output_bias=0.5).outputs)
    assert bool((network(image).lesion_logits.sigmoid() < 0.5).all())


def test_the_image_can_be_joined_to_the_finest_features():
    torch.manual_seed(0)
    plain, joined = SegmentationUNet(8), SegmentationUNet(8, image_channels=1)
    features, image = torch.randn(1, 8, 8, 8, 8), torch.zeros(1, 1, 16, 16, 16)
    assert not plain.takes_image
    before = joined(features, image).lesion_logits
    image[0, 0, 5, 5, 5] = 100.0
    changed = (joined(features, image).lesion_logits - before).abs()[0, 0]
    assert changed[5, 5, 5] > 0.1
    network = JointNetwork(segmentation=SegmentationUNet(8, image_channels=1), channels=8, image_size=32)
    assert network(torch.randn(1, 1, 32, 32, 32)).lesion_logits.shape == (1, 1, 32, 32, 32)


def summed(prediction):
    maps = [prediction.lesion_logits, prediction.disease_logits, *prediction.location_maps, *prediction.scale_logits]
    return sum((each * torch.linspace(0.1, 1, each.numel()).view_as(each)).sum() for each in maps)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"guidance": NoGuidance},
        {"guidance": DotGuidance},
        {"guidance": lambda: ConcatGuidance(8)},
        {"guidance": AddGuidance},
        {"guidance": lambda: FullGuidance(8, attention="softmax")},
        {"sharing": lambda: LocalSharing(1, 8)},
        {"sharing": lambda: GlobalSharing(1, 8, SIZE)},
        {"sharing": lambda: SeparateStems(1, 8)},
    ],
    ids=["paper", "no guidance", "dot", "concat", "add", "softmax", "only local", "only global", "nothing shared"],
)
def test_gradients_reach_every_parameter(parts, image):
    torch.manual_seed(0)
    network = JointNetwork(**{name: make() for name, make in parts.items()}, channels=8, image_size=SIZE).double()
    summed(network(image.double())).backward()
    dead = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    assert dead == set()


def test_the_disease_affects_the_segmentation_only_through_guidance(image):
    for guidance, arrives in ((FullGuidance(8), True), (FullGuidance(8, detach=True), False), (NoGuidance(), False)):
        torch.manual_seed(0)
        network = JointNetwork(sharing=SeparateStems(1, 8), guidance=guidance, channels=8, image_size=SIZE)
        network(image).disease_logits[:, 1].sum().backward()
        touched = [name for name, p in network.segmentation.named_parameters() if p.grad is not None and p.grad.any()]
        assert len(touched) == (len(list(network.segmentation.parameters())) if arrives else 0)
        stem = network.sharing.segmentation_stem.weight.grad
        assert (stem is not None and bool(stem.any())) is arrives


def test_single_task_models_omit_the_other_outputs(image):
    only_seg = JointNetwork(SingleStem(1, 8), guidance=NoGuidance(), classification=NoClassification(), channels=8)
    prediction = only_seg(image)
    assert prediction.disease_logits is None
    assert prediction.location_maps is None
    prediction.lesion_logits.sum().backward()
    assert all(p.grad is not None for p in only_seg.parameters())
    only_cls = JointNetwork(SingleStem(1, 8), segmentation=NoSegmentation(), guidance=NoGuidance(), channels=8)
    prediction = only_cls(image)
    assert prediction.lesion_logits is None
    assert prediction.scale_logits is None
    prediction.disease_logits.sum().backward()
    assert all(p.grad is not None for p in only_cls.parameters())


def test_the_two_branch_stem_supports_a_single_task(image):
    network = JointNetwork(guidance=NoGuidance(), classification=NoClassification(), channels=8, image_size=SIZE)
    network(image).lesion_logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ("size", "nearest"), [(100, "96x96x96 or 112x112x112"), ((64, 70, 64), "64x64x64 or 64x80x64"), (8, "16x16x16")]
)
def test_an_invalid_size_is_refused_with_the_nearest_valid_ones(size, nearest):
    with pytest.raises(ConfigError, match=nearest):
        JointNetwork(image_size=size)


def test_forward_refuses_invalid_sizes(network):
    with pytest.raises(ConfigError, match=r"found 32x40x16; use the nearest valid size, 32x32x16 or 32x48x16"):
        network(torch.zeros(1, 1, 32, 40, 16))
    with pytest.raises(ConfigError, match="windows of 2x3x1 tokens"):
        network(torch.zeros(1, 1, 32, 32, 32))
    with pytest.raises(ConfigError, match="1 modalities, found 2"):
        network(torch.zeros(1, 2, *SIZE))


def test_another_size_with_the_same_windows_is_accepted():
    network = JointNetwork(channels=4, image_size=80)
    assert network(torch.zeros(1, 1, 96, 80, 80)).lesion_logits.shape == (1, 1, 96, 80, 80)


def test_incompatible_parts_are_refused():
    with pytest.raises(ConfigError, match="sharing 8, segmentation 32"):
        JointNetwork(sharing=LocalSharing(1, 8))
    with pytest.raises(ConfigError, match="no segmentation, found FullGuidance"):
        JointNetwork(segmentation=NoSegmentation())
    with pytest.raises(ConfigError, match="at least one task"):
        JointNetwork(segmentation=NoSegmentation(), classification=NoClassification(), guidance=NoGuidance())
    with pytest.raises(ConfigError, match="at least two diseases"):
        ResidualClassifier(classes=1)
    with pytest.raises(ConfigError, match="even width"):
        SegmentationUNet(channels=7)
    with pytest.raises(ConfigError, match="attention heads"):
        JointNetwork(channels=6)


def test_a_checkpoint_records_its_grid_and_refuses_other_windows():
    file = io.BytesIO()
    torch.save(JointNetwork(channels=4, image_size=64).state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state["sharing.global_branch.attention._extra_state"].tolist() == [4, 4, 4]
    JointNetwork(channels=4, image_size=64).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"windows of 4x4x4 \(trained on images of 64x64x64 voxels\)"):
        JointNetwork(channels=4, image_size=96).load_state_dict(state)
    larger = JointNetwork(channels=4, image_size=96).state_dict()
    JointNetwork(channels=4, image_size=160).load_state_dict(larger)  # 6 and 10 tokens share windows of 5
