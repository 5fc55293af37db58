"""Rules of the MS lesion challenges, compared with hand-computed numbers and the filters of their tools."""

import math

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from joint_seg_cls.metrics import SIZES, detected_by_size, dice, isbi_score, lesion_wise, msseg, ppv

LEVELS = arrays(np.uint8, (5, 6, 7), elements={"min_value": 0, "max_value": 3})
NAN = math.nan


def empty():
    return np.zeros((20, 9, 9), dtype=bool)


# ------------------------------------------------------------------------------------------------------------ ISBI-2015
def test_isbi_lesions_are_connected_by_edges_but_not_by_corners():
    reference = empty()
    reference[0, 0, 0] = reference[1, 1, 0] = True  # an edge: one lesion
    reference[5, 5, 5] = reference[6, 6, 6] = True  # a corner: two
    prediction = empty()
    prediction[5, 5, 5] = True
    found = lesion_wise(prediction, reference, connectivity=18)
    assert (found.reference_lesions, found.ltpr) == (3, pytest.approx(1 / 3))
    assert lesion_wise(prediction, reference).ltpr == pytest.approx(1 / 2)


def test_hand_computed_isbi_score():
    reference, predicted = np.array([10.0, 20.0, 40.0]), np.array([12.0, 18.0, 33.0])
    a, b = reference - 70 / 3, predicted - 21
    correlation = (a @ b) / math.sqrt((a @ a) * (b @ b))
    score = isbi_score([0.5, 0.6, 0.7], [0.8, 0.6, 0.7], [0.2, 0.4, 0.6], [0.1, 0.2, 0.3], reference, predicted)
    assert score == pytest.approx(0.6 / 8 + 0.7 / 8 + (1 - 0.2) / 4 + 0.4 / 4 + correlation / 4)
    assert isbi_score([1, 1], [1, 1], [1, 1], [0, 0], [3, 4], [3, 4]) == pytest.approx(1)


def test_isbi_score_excludes_empty_references_and_has_0_for_empty_predictions():
    whole = isbi_score([1, 0, 1], [1, NAN, 1], [1, 0, 1], [0, NAN, 0], [3, 4, 5], [3, 0, 5])
    correlation = np.corrcoef([3, 4, 5], [3, 0, 5])[0, 1]
    assert whole == pytest.approx(2 / 3 / 8 + 2 / 3 / 8 + 2 / 3 / 4 + 2 / 3 / 4 + correlation / 4)
    assert isbi_score([1, NAN, 1], [1, NAN, 1], [1, NAN, 1], [0, NAN, 0], [3, 0, 4], [3, 9, 4]) == pytest.approx(1)
    assert math.isnan(isbi_score([1], [1], [1], [0], [3], [3]))
    assert math.isnan(isbi_score([1, 1], [1, 1], [1, 1], [0, 0], [3, 3], [3, 4]))


# ---------------------------------------------------------------------------------------------------------- MSSEG/Anima
def lesion(mask, x, y=slice(0, 2), z=slice(0, 5)):
    """Write a slab of 10 voxels a step along x."""
    mask[x, y, z] = True
    return mask


def test_msseg_detects_above_a_tenth():
    reference = lesion(empty(), slice(0, 4))  # 40 voxels
    tenth = lesion(empty(), slice(0, 1), slice(0, 1), slice(0, 4))  # 4 of them
    more = lesion(empty(), slice(0, 1), slice(0, 1), slice(0, 5))  # 5
    assert msseg(tenth, reference, 1.0).sensitivity == 0
    assert msseg(more, reference, 1.0).sensitivity == 1


def test_msseg_rejects_lesions_mostly_outside():
    reference = lesion(empty(), slice(5, 8))  # 30 voxels
    good = lesion(empty(), slice(5, 15))  # 100 voxels, 70 outside: not more than 0.70
    bad = lesion(empty(), slice(5, 16))  # 110 voxels, 80 outside
    assert msseg(good, reference, 1.0)[:3] == (1, 1, 1)
    found = msseg(bad, reference, 1.0)
    assert (found.sensitivity, found.ppv, found.f1) == (0, 1, pytest.approx(0))


def test_msseg_examines_covering_lesions_until_gamma_of_the_cover():
    reference = lesion(empty(), slice(0, 10))  # 100 voxels
    prediction = lesion(empty(), slice(0, 7), z=slice(0, 5))  # 70 of them: 70 of 78 are 0.90 of the cover
    prediction[8, 0:2, 1:5] = True  # 8 more voxels, continued outside
    prediction[8, 2:9, 1:9] = True
    assert msseg(prediction, reference, 1.0).sensitivity == 1  # the second is not examined
    prediction[3:7] = False  # now 30 of 38 are 0.79
    assert msseg(prediction, reference, 1.0).sensitivity == 1
    prediction[2] = prediction[1] = False  # 10 of 18 are 0.56: the second is examined, with 56 of 64 voxels outside
    assert msseg(prediction, reference, 1.0).sensitivity == 0


def test_msseg_counts_voxels_outside_all_lesions_not_outside_one():
    reference = lesion(lesion(empty(), slice(0, 2)), slice(3, 20))
    bridge = lesion(empty(), slice(0, 20))  # 20 of 200 in the first, 170 in the second, 10 outside
    assert msseg(bridge, reference, 1.0).sensitivity == 1


def test_msseg_removes_three_cubic_millimetres_at_any_voxel_size():
    reference = empty()
    reference[0:3, 0, 0] = True  # 3 voxels
    reference[10:14, 0, 0] = True  # 4
    assert msseg(reference, reference, 1.0).ppv == 1
    made_up = reference.copy()
    made_up[10:14] = False
    assert msseg(made_up, reference, 1.0).f1 == 0  # its lesion is removed: an empty prediction
    assert math.isnan(msseg(made_up, reference, 1.0).ppv)
    assert msseg(made_up, reference, 1.01).sensitivity == 1 / 2


def test_msseg_counts_false_lesions_if_the_reference_has_none():
    prediction = lesion(lesion(empty(), slice(0, 1)), slice(3, 5))
    prediction[10, 8, 8] = True  # too small
    found = msseg(prediction, empty(), 2.0)
    assert (found.false_lesions, found.false_volume_mm3) == (2, 60)
    assert all(math.isnan(value) for value in found[:3])
    assert msseg(empty(), empty(), 2.0)[3:] == (0, 0)
    assert all(math.isnan(value) for value in msseg(prediction, prediction, 2.0)[3:])


def itk_lesions(mask, voxel_mm3):
    """Return the lesions as sets of voxels, labelled and sifted by the filters that Anima is built of."""
    labels = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(mask.astype(np.uint8)))
    sifted = SimpleITK.RelabelComponent(labels, minimumObjectSize=math.floor(3 / voxel_mm3) + 1)
    array = SimpleITK.GetArrayFromImage(sifted)
    return [set(map(tuple, np.argwhere(array == k).tolist())) for k in range(1, array.max() + 1)]


def slow_detected(these, others):
    """Count the lesions of ``these`` that ``others`` detect, in the order of the rule's sentences."""
    inside, count = set().union(*these), 0
    for this in these:
        covering = sorted((other for other in others if this & other), key=lambda other: -len(this & other))
        cover = sum(len(this & other) for other in covering)
        seen, valid = 0, cover / len(this) > 0.10
        for other in covering:
            if seen / cover >= 0.65:
                break
            valid &= len(other - inside) / len(other) <= 0.70
            seen += len(this & other)
        count += valid
    return count


def has_ties(these, others):
    """The rule does not define the order of lesions with equal overlap."""
    covers = ([len(this & other) for other in others if this & other] for this in these)
    return any(len(set(cover)) < len(cover) for cover in covers)


@settings(max_examples=150, deadline=None)
@given(LEVELS, LEVELS, st.sampled_from([0.9, 1.0, 1.6, 3.1]))
def test_msseg_equals_a_slow_implementation_of_the_rule(first, second, voxel_mm3):
    prediction, reference = first < 2, second == 0
    wanted, predicted = itk_lesions(reference, voxel_mm3), itk_lesions(prediction, voxel_mm3)
    found = msseg(prediction, reference, voxel_mm3)
    if not wanted:
        volume = sum(map(len, predicted)) * voxel_mm3
        assert found[3:] == (len(predicted), pytest.approx(volume))
    elif predicted and not has_ties(wanted, predicted) and not has_ties(predicted, wanted):
        sensitivity = slow_detected(wanted, predicted) / len(wanted)
        precision = slow_detected(predicted, wanted) / len(predicted)
        assert (found.sensitivity, found.ppv) == (pytest.approx(sensitivity), pytest.approx(precision))
        total = sensitivity + precision
        assert found.f1 == pytest.approx(2 * sensitivity * precision / total if total else 0)


# -------------------------------------------------------------------------------------------------------------- by size
def test_hand_computed_recall_by_size():
    assert SIZES == ("below_10_mm3", "10_to_100_mm3", "100_to_1000_mm3", "above_1000_mm3")
    reference = np.zeros((40, 20, 20), dtype=bool)
    reference[0:4, 0, 0] = True  # 4 voxels of 2.5 mm3: exactly 10
    reference[6:9, 0, 0] = True  # 3: 7.5
    reference[11:15, 4:14, 0] = True  # 40: exactly 100
    reference[18:38, 0:10, 0:5] = True  # 1000: 2500
    reference[0, 10, 10] = reference[1, 11, 11] = True  # 2 that share a corner: 5
    prediction = np.zeros_like(reference)
    prediction[0:7, 0, 0] = True
    prediction[37, 9, 4] = True
    found = detected_by_size(prediction, reference, 2.5)
    assert [found[size] for size in SIZES] == [(2, 1), (1, 1), (1, 0), (1, 1)]


@settings(max_examples=50, deadline=None)
@given(LEVELS, LEVELS)
def test_sizes_add_up_to_all_lesions(first, second):
    prediction, reference = first == 0, second == 0
    by_size, plain = detected_by_size(prediction, reference, 3.0), lesion_wise(prediction, reference)
    assert sum(size.reference for size in by_size.values()) == plain.reference_lesions
    assert sum(size.detected for size in by_size.values()) == plain.detected_lesions


@pytest.mark.parametrize("measure", [msseg, detected_by_size])
def test_masks_must_have_one_grid(measure):
    with pytest.raises(ValueError, match="different grids"):
        measure(empty(), empty()[:-1], 1.0)


def test_a_perfect_prediction_is_perfect_by_every_rule():
    reference = lesion(lesion(empty(), slice(0, 3)), slice(6, 9))
    assert msseg(reference, reference, 1.0)[:3] == (1, 1, 1)
    found = lesion_wise(reference, reference, connectivity=18)
    assert (found.ltpr, found.lfpr, dice(reference, reference), ppv(reference, reference)) == (1, 0, 1, 1)
