"""Several networks and views: mean and standard deviation, computed by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.inference import Ensemble, Findings, Predictor
from joint_seg_cls.inference.field_of_view import cut_sides
from joint_seg_cls.inference.lesion_rows import lesion_rows
from joint_seg_cls.scan import Geometry, Grid

IMAGE = np.zeros((1, 16, 16, 16), np.float32)


def logit(p):
    return math.log(p / (1 - p))


class Says(nn.Module):
    """Gives every voxel, and the second class, the probability p; the location map is p too."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, image):
        n = len(image)
        scores = torch.tensor([[0.0, logit(self.p)]]).repeat(n, 1)
        maps = tuple(torch.full((n, 2, s, s, s), self.p / 3) for s in (2, 4, 8))
        return Prediction(torch.full_like(image, logit(self.p)), None, scores, maps)


def test_networks_are_averaged_with_their_spread():
    found = Ensemble([Predictor(Says(0.2), 0.5), Predictor(Says(0.6), 0.2)])(IMAGE)
    np.testing.assert_allclose(found.lesion_probability, 0.4, rtol=1e-6)
    np.testing.assert_allclose(found.disagreement, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.disease_probability, [0.6, 0.4])
    np.testing.assert_allclose(found.disease_disagreement, [0.2, 0.2])
    np.testing.assert_allclose(found.location_map, 0.4, rtol=1e-6)
    assert found.lesions.all()  # the threshold is 0.35, the mean of the members'


def test_every_view_of_every_network_has_the_same_weight():
    found = Ensemble([Predictor(Says(0.2), 0.5, views="flips"), Predictor(Says(0.8), 0.5)])(IMAGE)
    np.testing.assert_allclose(found.lesion_probability, 0.4, rtol=1e-6)
    np.testing.assert_allclose(found.disagreement, math.sqrt((2 * 0.2**2 + 0.4**2) / 3), rtol=1e-5)


def test_one_network_with_one_view_has_no_spread_and_its_views_have():
    alone = Predictor(Says(0.2), 0.5)(IMAGE)
    assert alone.disagreement is None
    assert alone.disease_disagreement is None
    both = Predictor(Says(0.2), 0.5, views="flips")(IMAGE)
    np.testing.assert_allclose(both.disagreement, 0, atol=1e-7)


def test_members_share_threshold_and_least_volume_by_their_means():
    members = [Predictor(Says(0.2), 0.3, least_lesion_mm3=2.0), Predictor(Says(0.2), 0.6, least_lesion_mm3=8.0)]
    ensemble = Ensemble(members)
    assert ensemble.lesion_threshold == pytest.approx(0.45)
    assert ensemble.least_lesion_mm3 == pytest.approx(5.0)


def test_the_spread_is_resampled_to_the_scans_grid_as_the_probability_is():
    native = Grid((20, 18, 22), np.diag([-1.0, 1.0, 1.0, 1.0]))
    geometry = Geometry(native, native.canonical().resized((16, 16, 16)))
    ensemble = Ensemble([Predictor(Says(0.2), 0.5), Predictor(Says(0.6), 0.5)])
    found = ensemble.in_native_space(ensemble(IMAGE), geometry)
    assert found.disagreement.shape == (20, 18, 22)
    np.testing.assert_allclose(found.disagreement, 0.2, rtol=1e-5)


def test_each_lesion_has_the_mean_and_maximum_of_its_voxels():
    lesions = np.zeros((5, 6, 7), bool)
    lesions[0, 0, :2] = lesions[3, 3, 3] = True
    probability, spread = np.full((2, 5, 6, 7), 0.01, np.float32)
    probability[0, 0, :2], spread[0, 0, :2] = (0.6, 0.9), (0.1, 0.3)
    probability[3, 3, 3], spread[3, 3, 3] = 0.7, 0.05
    grid = Grid((5, 6, 7), np.diag([2.0, 1.0, 1.0, 1.0]))
    rows = lesion_rows(Findings(probability, lesions, None, None, spread), grid)
    np.testing.assert_allclose(rows["voxels"], [2, 1])
    np.testing.assert_allclose(rows["mean_probability"], [0.75, 0.7], rtol=1e-6)
    np.testing.assert_allclose(rows["max_probability"], [0.9, 0.7], rtol=1e-6)
    np.testing.assert_allclose(rows["uncertainty"], [0.2, 0.05], rtol=1e-6)
    assert lesion_rows(Findings(probability, lesions, None, None), grid)["uncertainty"].isna().all()
    empty = lesion_rows(Findings(probability, np.zeros_like(lesions), None, None, spread), grid)
    assert list(empty.columns) == list(rows.columns)
    assert empty.empty


@pytest.mark.parametrize("flip", [1, -1])
def test_a_brain_that_is_cut_in_half_is_cut_at_the_side_of_the_head_that_is_missing(flip):
    index = np.stack(np.meshgrid(*map(np.arange, (31, 35, 29)), indexing="ij"), axis=-1) - [15, 17, 14]
    brain = ((index / [13, 15, 12]) ** 2).sum(axis=-1) < 1
    affine = np.diag([-5.0, 5.0, 5.0 * flip, 1.0])
    assert cut_sides(brain, Grid(brain.shape, affine)) == []
    half = brain[:, :, :15]
    assert cut_sides(half, Grid(half.shape, affine)) == ["superior" if flip == 1 else "inferior"]
    tight = brain[2:-2, 2:-2, 2:-2]  # as skull-stripping programs crop: only the outermost voxels touch the border
    assert cut_sides(tight, Grid(tight.shape, affine)) == []
