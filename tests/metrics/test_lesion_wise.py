"""Lesion-wise metrics compared with a written-out flood fill."""

import itertools
import math

import numpy as np
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from joint_seg_cls.metrics import lesion_wise

LEVELS = arrays(np.uint8, (4, 5, 3), elements={"min_value": 0, "max_value": 5})


def slow_lesions(mask):
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    lesions = []
    while left:
        lesion, edge = set(), {left.pop()}
        while edge:
            here = edge.pop()
            lesion.add(here)
            near = {
                tuple(a + b for a, b in zip(here, step, strict=True))
                for step in itertools.product((-1, 0, 1), repeat=3)
            }
            edge |= near & left
            left -= near
        lesions.append(lesion)
    return lesions


@settings(max_examples=50, deadline=None)
@given(LEVELS, LEVELS)
def test_lesion_counts_equal_a_flood_fill(first, second):
    prediction, reference = first == 0, second == 0
    predicted, wanted = slow_lesions(prediction), slow_lesions(reference)
    found = lesion_wise(prediction, reference)
    detected = sum(any(prediction[v] for v in lesion) for lesion in wanted)
    false = sum(not any(reference[v] for v in lesion) for lesion in predicted)
    assert found[:4] == (len(wanted), len(predicted), detected, false)
    if wanted:
        recall, precision = detected / len(wanted), (1 - false / len(predicted)) if predicted else 0
        assert found.ltpr == recall
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0
        assert math.isclose(found.f1, f1, abs_tol=1e-12)
        assert math.isnan(found.lfpr) if not predicted else math.isclose(found.lfpr, false / len(predicted))
    else:
        assert all(math.isnan(value) for value in found[4:])


def test_hand_computed_lesion_wise_metrics():
    reference, prediction = np.zeros((2, 9, 3, 3), dtype=bool)
    reference[0, 0, 0] = reference[1, 1, 1] = True  # one lesion: its voxels share a corner
    reference[4, 0:2, 1] = True  # a second
    reference[8, 2, 2] = True  # a third, missed
    prediction[1:5, 1, 1] = True  # one lesion that touches the first two
    prediction[7, 0, 0] = True  # made up
    found = lesion_wise(prediction, reference)
    assert found[:4] == (3, 2, 2, 1)
    assert (found.ltpr, found.lfpr) == (2 / 3, 1 / 2)
    assert math.isclose(found.f1, 2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
