"""Surface distances in millimetres, compared with written-out distances."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from joint_seg_cls.metrics import hd95_mm, surface_dice

LEVELS = arrays(np.uint8, (5, 4, 6), elements={"min_value": 0, "max_value": 4})
SPACINGS = st.tuples(*[st.sampled_from([0.7, 1.0, 3.0])] * 3)


def empty():
    return np.zeros((12, 11, 10), dtype=bool)


def one(x, y, z):
    mask = empty()
    mask[x, y, z] = True
    return mask


def surface(mask):
    """Return the voxels with a neighbour across a face that is background or outside the volume."""
    voxels = set(map(tuple, np.argwhere(mask).tolist()))
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if sum(map(abs, s)) == 1]
    return [v for v in voxels if any(tuple(np.add(v, s).tolist()) not in voxels for s in steps)]


def slow_hd95(prediction, reference, spacing):
    a, b = (np.array(surface(mask)) * spacing for mask in (prediction, reference))
    apart = np.linalg.norm(a[:, None] - b[None], axis=-1)
    return max(np.percentile(apart.min(axis=1), 95), np.percentile(apart.min(axis=0), 95))


@settings(max_examples=50, deadline=None)
@given(LEVELS, LEVELS, SPACINGS)
def test_hd95_is_the_larger_of_two_percentiles(first, second, spacing):
    prediction, reference = first == 0, second == 0
    found = hd95_mm(prediction, reference, spacing)
    if not reference.any():
        assert math.isnan(found)
    elif not prediction.any():
        assert found == pytest.approx(math.hypot(*np.multiply((5, 4, 6), spacing)))
    else:
        assert found == pytest.approx(slow_hd95(prediction, reference, spacing), rel=1e-5, abs=1e-4)


def test_distances_are_millimetres_along_each_axis():
    spacing = (0.5, 2.0, 3.0)
    assert hd95_mm(one(5, 5, 5), one(7, 5, 5), spacing) == pytest.approx(1)
    assert hd95_mm(one(5, 5, 5), one(5, 7, 5), spacing) == pytest.approx(4)
    assert hd95_mm(one(5, 5, 5), one(5, 5, 7), spacing) == pytest.approx(6)


def test_an_empty_prediction_has_the_worst_value():
    assert hd95_mm(empty(), one(5, 5, 5), (1.0, 2.0, 3.0)) == pytest.approx(math.sqrt(12**2 + 22**2 + 30**2))
    assert hd95_mm(empty(), one(5, 5, 5), (1.0, 2.0, 3.0), penalty_mm=99.0) == 99
    assert surface_dice(empty(), one(5, 5, 5), (1.0, 1.0, 1.0)) == 0
    assert math.isnan(hd95_mm(one(5, 5, 5), empty(), (1.0, 1.0, 1.0)))
    assert math.isnan(surface_dice(empty(), empty(), (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("slice_mm", [1.0, 3.0])
def test_surface_dice_agrees_up_to_the_tolerance_in_millimetres(slice_mm):
    plate, moved = empty(), empty()
    plate[2:9, 2:8, 3] = moved[2:9, 2:8, 5] = True  # faces at 2.5, 3.5 and at 4.5, 5.5 slices
    spacing = (1.0, 1.0, slice_mm)
    assert surface_dice(plate, plate, spacing, 0.0) == 1
    assert surface_dice(plate, moved, spacing, 0.9 * slice_mm) == 0
    assert surface_dice(plate, moved, spacing, slice_mm) == pytest.approx(0.5)  # the faces that look at each other
    assert surface_dice(plate, moved, spacing, 2 * slice_mm) == pytest.approx(1)
    assert surface_dice(plate, moved, spacing) == pytest.approx(0.5 if slice_mm == 1 else 0)


def test_surface_dice_weighs_by_area():
    """Two plates, one in plane (thin slices stacked), one across; the first is missed."""
    spacing = (1.0, 1.0, 4.0)
    reference, prediction = np.zeros((2, 30, 30, 30), dtype=bool)
    reference[10:20, 10:20, 25] = True  # 10 x 10 mm, one slice of 4 mm
    reference[10:12, 10:12, 5:15] = True  # 2 x 2 mm, 40 mm long
    prediction[10:12, 10:12, 5:15] = True
    # surface elements are on planes between voxels: area of the rod 4 * 2 * 40, of the plate 2 * 100 + 4 * 10 * 4
    rod, plate = 4 * 2 * 40 + 2 * 4, 2 * 100 + 4 * 10 * 4
    share = surface_dice(prediction, reference, spacing, 0.5)
    assert share == pytest.approx(2 * rod / (2 * rod + plate), abs=0.06)  # edges and corners are cut
    assert surface_dice(prediction, reference, (1.0, 1.0, 1.0), 0.5) < share
