"""ACC, SN, SP and AUC, hand-computed and compared with scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from joint_seg_cls.metrics import accuracy, auc, sensitivity, specificity


def two(p_nmosd):
    p = np.asarray(p_nmosd, dtype=float)
    return np.stack([1 - p, p], axis=1)


def test_nmosd_is_the_positive_class():
    probability, disease = two([0.9, 0.2, 0.7, 0.4, 0.1]), np.array([1, 1, 0, 0, 0])
    assert accuracy(probability, disease) == 3 / 5
    assert sensitivity(probability, disease) == 1 / 2
    assert specificity(probability, disease) == 2 / 3
    assert auc(probability, disease) == 4 / 6  # pairs: .9 beats .7 .4 .1; .2 beats .1
    assert auc(torch.from_numpy(probability), torch.from_numpy(disease)) == 4 / 6


def test_more_classes_are_compared_one_against_the_rest():
    probability = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])
    disease = np.array([0, 1, 2, 1])
    assert accuracy(probability, disease) == 3 / 4
    assert sensitivity(probability, disease) == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert specificity(probability, disease) == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert auc(probability, disease) == pytest.approx(roc_auc_score(disease, probability, multi_class="ovr"))


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=30))
def test_auc_is_the_share_of_ordered_pairs(scans):
    score, positive = np.array([s for s, _ in scans]) / 20, np.array([p for _, p in scans])
    found = auc(two(score), positive.astype(int))
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    if not pairs:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(sum(pairs) / len(pairs))
        assert found == pytest.approx(roc_auc_score(positive, score))


def test_undefined_metrics_are_nan():
    healthy = two([0.1, 0.9]), np.array([0, 0])
    assert math.isnan(auc(*healthy))
    assert math.isnan(sensitivity(*healthy))
    assert specificity(*healthy) == accuracy(*healthy) == 0.5
    nobody = np.zeros((0, 2)), np.zeros(0, dtype=int)
    assert all(math.isnan(metric(*nobody)) for metric in (accuracy, auc, sensitivity, specificity))


def test_mismatched_rows_are_refused():
    with pytest.raises(ValueError, match="one row per scan"):
        auc(two([0.1, 0.9]), np.array([1]))
