"""The audited explanation: shares in lesions, deletion with its control, and shuffled weights."""

import math

import numpy as np
import pytest
import torch

from joint_seg_cls.inference import Findings
from joint_seg_cls.inference.explanation import explain, maps_of, shuffled
from joint_seg_cls.inference.filling import filled, mirrored
from joint_seg_cls.inference.map_measures import share_in, similarity
from joint_seg_cls.networks import JointNetwork, NoClassification, NoGuidance, summed_map

SIDE = 16


def box(x, y=(5, 9), z=(5, 9)):
    mask = np.zeros((SIDE, SIDE, SIDE), bool)
    mask[slice(*x), slice(*y), slice(*z)] = True
    return mask


BRAIN = box((1, 13), (1, 15), (1, 15))
LESIONS = box((2, 5))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return JointNetwork(channels=4, image_size=SIDE).eval()


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    data = (rng.normal(1, 0.1, (1, SIDE, SIDE, SIDE)) * BRAIN).astype(np.float32)
    data[0][LESIONS] = 3
    return data


def findings(disease, location=None):
    return Findings(None, None, location, disease)


def test_share_and_enrichment_count_the_positive_part_alone():
    volume = np.full((SIDE, SIDE, SIDE), -5.0)
    volume[LESIONS] = 1
    other = box((8, 11))
    volume[other] = 3
    share, enrichment = share_in(volume, LESIONS, BRAIN)
    assert share == pytest.approx(0.25)
    assert enrichment == pytest.approx(0.25 * (12 * 14 * 14) / (3 * 4 * 4))
    assert math.isnan(share_in(-np.abs(volume), LESIONS, BRAIN)[0])
    assert math.isnan(share_in(volume, np.zeros_like(LESIONS), BRAIN)[1])


def test_similarity_is_a_rank_correlation_over_the_brain():
    rng = np.random.default_rng(0)
    volume = rng.random((SIDE, SIDE, SIDE))
    other = np.where(BRAIN, np.exp(volume), rng.random((SIDE, SIDE, SIDE)))
    assert similarity(volume, other, BRAIN) == pytest.approx(1)
    assert similarity(volume, -volume, BRAIN) == pytest.approx(-1)
    assert math.isnan(similarity(volume, np.ones_like(volume), BRAIN))


def test_lesions_are_filled_with_the_tissue_around_them_and_the_rest_is_kept(image):
    got = filled(image, LESIONS, BRAIN, np.random.default_rng(0))
    assert abs(got[0][LESIONS].mean() - 1) < 0.1
    assert 0.05 < got[0][LESIONS].std() < 0.2
    far = ~box((1, 6), (4, 10), (4, 10))
    np.testing.assert_array_equal(got[0][far], image[0][far])
    assert image[0][LESIONS].min() == 3
    assert filled(image, np.zeros_like(LESIONS), BRAIN, np.random.default_rng(0)) is image


def test_the_control_is_mirrored_about_the_middle_of_the_brain():
    np.testing.assert_array_equal(mirrored(LESIONS, BRAIN), box((9, 12)))  # voxels 1 to 12: 2 goes to 11
    both = LESIONS | box((9, 12))
    assert not mirrored(both, BRAIN).any()
    assert not mirrored(LESIONS, np.zeros_like(BRAIN)).any()


def test_shuffling_changes_the_classifier_alone(network):
    other = shuffled(network, torch.Generator().manual_seed(1))
    again = shuffled(network, torch.Generator().manual_seed(1))
    for (name, before), after, same in zip(
        network.named_parameters(), other.parameters(), again.parameters(), strict=True
    ):
        torch.testing.assert_close(after, same, rtol=0, atol=0)
        torch.testing.assert_close(before.flatten().sort()[0], after.flatten().sort()[0], rtol=0, atol=0)
        if not name.startswith("classification."):
            torch.testing.assert_close(before, after, rtol=0, atol=0)
    before, after = network.classification.score.weight, other.classification.score.weight
    assert not torch.equal(before, after)


def test_grad_cam_needs_a_classifier_and_changes_no_network(network, image):
    location, cam = maps_of(network, image, 1)
    assert location.shape == cam.shape == (SIDE, SIDE, SIDE)
    with torch.no_grad():
        maps = network(torch.from_numpy(image)[None]).location_maps
    np.testing.assert_allclose(location, summed_map(maps, 1, (SIDE,) * 3)[0].numpy(), atol=1e-5)
    assert cam.min() >= 0
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    only_seg = JointNetwork(guidance=NoGuidance(), classification=NoClassification(), channels=4, image_size=SIDE)
    with pytest.raises(ValueError, match="residual classifier"):
        maps_of(only_seg, image, 0)


def test_a_class_that_depends_on_lesions_falls_when_they_are_filled(network, image):
    """A made-up classifier whose probability is a function of the voxels of the lesion."""

    def predict(seen):
        p = float(1 / (1 + np.exp(2 - seen[0][LESIONS].mean())))
        return findings(np.array([1 - p, p]), location)

    location, _ = maps_of(network, image, 1)
    found = explain(predict, network, image, predict(image), brain=BRAIN, lesions=LESIONS, voxel_ml=0.001, seed=3)
    assert found is not None
    assert found.deletion.probability == pytest.approx(1 / (1 + math.exp(-1)))
    assert found.deletion.lesions_filled == pytest.approx(1 / (1 + math.exp(1)), abs=0.05)
    assert found.deletion.control_fall == pytest.approx(0)
    assert (found.deletion.lesions_ml, found.deletion.control_ml) == pytest.approx((0.048, 0.048))
    assert found.location_map.lesion_share == pytest.approx(share_in(location, LESIONS, BRAIN)[0])
    others = [shuffled(network, torch.Generator().manual_seed(3 + draw)) for draw in range(3)]
    by_hand = np.mean([similarity(location, maps_of(other, image, 1)[0], BRAIN) for other in others])
    assert found.location_map.shuffled_similarity == pytest.approx(by_hand)
    assert by_hand < 0.9
    record = found.record()
    assert record["deletion"]["fall"] == pytest.approx(found.deletion.fall)
    assert set(record) == {"location_map", "grad_cam", "deletion", "seconds"}


def test_without_lesions_deletion_is_undefined_and_without_maps_there_is_no_explanation(network, image):
    def predict(seen):
        return findings(np.array([0.3, 0.7]), np.ones((SIDE, SIDE, SIDE), np.float32))

    nothing = np.zeros_like(LESIONS)
    found = explain(predict, network, image, predict(image), brain=BRAIN, lesions=nothing, voxel_ml=0.001)
    assert found is not None
    assert found.record()["deletion"]["fall"] is None
    bare = findings(np.array([0.3, 0.7]))
    assert explain(predict, network, image, bare, brain=BRAIN, lesions=LESIONS, voxel_ml=0.001) is None
