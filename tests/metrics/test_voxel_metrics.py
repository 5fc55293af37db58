"""Voxel-wise metrics compared with set arithmetic, and the rule for empty masks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from joint_seg_cls.metrics import dice, ppv, tpr, volume_difference

SHAPE = (3, 5, 2)
MASK = arrays(np.bool_, SHAPE)


def voxels(mask):
    return set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))


def same(found, expected):
    return (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, rel_tol=1e-12)


@given(MASK, MASK)
def test_metrics_equal_set_arithmetic(prediction, reference):
    p, r = voxels(prediction), voxels(reference)
    undefined = math.nan
    assert same(dice(prediction, reference), 2 * len(p & r) / (len(p) + len(r)) if r else undefined)
    assert same(ppv(prediction, reference), len(p & r) / len(p) if r and p else undefined)
    assert same(tpr(prediction, reference), len(p & r) / len(r) if r else undefined)
    assert same(volume_difference(prediction, reference), abs(len(p) - len(r)) / len(r) if r else undefined)
    assert same(dice(prediction, reference, empty="one"), dice(prediction, reference) if r else float(not p))


@given(MASK, MASK, st.permutations(range(3)))
def test_metrics_are_independent_of_axis_order_and_array_type(prediction, reference, order):
    expected = [m(prediction, reference) for m in (dice, ppv, tpr, volume_difference)]
    turned = prediction.transpose(order), reference.transpose(order)
    tensors = torch.from_numpy(prediction), torch.from_numpy(reference)
    numbers = prediction.astype(np.uint8), torch.from_numpy(reference).float()
    for pair in (turned, tensors, numbers):
        found = [m(*pair) for m in (dice, ppv, tpr, volume_difference)]
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))
        assert all(type(value) is float for value in found)


def test_hand_computed_voxel_metrics():
    prediction, reference = np.zeros((2, 10), dtype=bool)
    prediction[:6] = True
    reference[4:8] = True
    assert dice(prediction, reference) == 2 * 2 / 10
    assert ppv(prediction, reference) == 2 / 6
    assert tpr(prediction, reference) == 2 / 4
    assert volume_difference(prediction, reference) == 2 / 4
    assert volume_difference(reference, prediction) == 2 / 6


def test_empty_masks_follow_the_rule():
    some, none = np.ones(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    assert all(math.isnan(metric(p, none)) for metric in (dice, ppv, tpr, volume_difference) for p in (some, none))
    assert dice(none, some) == tpr(none, some) == 0
    assert volume_difference(none, some) == 1
    assert math.isnan(ppv(none, some))
    assert (dice(none, none, empty="one"), dice(some, none, empty="one"), dice(none, some, empty="one")) == (1, 0, 0)


def test_values_other_than_0_and_1_are_refused():
    with pytest.raises(ValueError, match="different grids"):
        dice(np.zeros((2, 3), dtype=bool), np.zeros((3, 2), dtype=bool))
    with pytest.raises(ValueError, match="has others"):
        dice(np.full(SHAPE, 0.7), np.zeros(SHAPE, dtype=bool))
