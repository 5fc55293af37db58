"""Temperature scaling and the measures of calibration, against hand-computed values."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from joint_seg_cls.metrics import (
    coverage_curve,
    cross_entropy,
    expected_calibration_error,
    fit_temperature,
    reliability,
    temperature_scaled,
)


def test_a_temperature_scaled_probability_is_the_softmax_of_divided_logits():
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 300.0, -300.0]])
    np.testing.assert_allclose(
        temperature_scaled(softmax(logits, axis=1), 2.5), softmax(logits / 2.5, axis=1), atol=1e-12
    )
    np.testing.assert_allclose(temperature_scaled(np.array([0.8, 0.2]), 0.5), [0.64 / 0.68, 0.04 / 0.68])
    certain = np.array([1.0, 0.0])
    assert np.isfinite(temperature_scaled(certain, 3.0)).all()
    assert temperature_scaled(certain, 1.0) is certain


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_many_scans_is_found(temperature):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1.5, (20_000, 3))
    disease = (rng.random(20_000)[:, None] > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1)
    found = fit_temperature(softmax(logits * temperature, axis=1), disease)
    assert found == pytest.approx(temperature, rel=0.05)


def test_a_perfect_validation_does_not_make_the_network_certain():
    """Ten scans, five of each class, all classified correctly with one probability: Platt's target is 6/7."""
    probability = np.array([[0.7, 0.3]] * 5 + [[0.3, 0.7]] * 5)
    disease = np.array([0] * 5 + [1] * 5)
    found = fit_temperature(probability, disease)
    assert found is not None
    np.testing.assert_allclose(temperature_scaled(probability, found).max(axis=1), 6 / 7, atol=1e-5)


def test_probabilities_without_information_become_equal_and_few_scans_are_not_fitted():
    wrong = np.array([[0.9, 0.1]] * 10)
    disease = np.array([0] * 5 + [1] * 5)
    assert fit_temperature(wrong, disease) == pytest.approx(20, abs=1e-3)
    assert fit_temperature(wrong[:9], disease[1:]) is None
    assert fit_temperature(wrong, np.zeros(10, dtype=np.int64)) is None


def test_reliability_and_calibration_error_by_hand():
    probability = np.array([0.0, 0.05, 0.12, 0.95, 1.0, 1.0])
    positive = np.array([False, True, False, True, True, False])
    mean, share, count = reliability(probability, positive)
    assert count.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    np.testing.assert_allclose(mean[[0, 1, 9]], [0.025, 0.12, 2.95 / 3])
    np.testing.assert_allclose(share[[0, 1, 9]], [0.5, 0.0, 2 / 3])
    assert np.isnan(mean[2])
    by_hand = (2 * 0.475 + 1 * 0.12 + 3 * (2.95 / 3 - 2 / 3)) / 6
    assert expected_calibration_error(probability, positive) == pytest.approx(by_hand)
    assert math.isnan(expected_calibration_error(probability[:0], positive[:0]))


def test_cross_entropy_by_hand():
    found = cross_entropy(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]))
    assert found == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_coverage_grows_as_the_threshold_falls_and_ties_are_answered_together():
    probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.45, 0.55]])
    found = coverage_curve(probability, np.array([0, 1, 1, 0]))
    assert found.probability.tolist() == [0.9, 0.8, 0.55]
    assert found.coverage.tolist() == [0.25, 0.75, 1.0]
    np.testing.assert_allclose(found.accuracy, [1, 2 / 3, 0.5])
    assert coverage_curve(np.zeros((0, 2)), np.zeros(0, dtype=np.int64)).coverage.size == 0
