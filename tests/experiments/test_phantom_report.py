import importlib.util
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parents[2] / "experiments" / "phantom" / "oracle.py"


@pytest.fixture(scope="module")
def oracle():
    spec = importlib.util.spec_from_file_location("phantom_oracle", HERE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_holm_multiplies_the_least_p_by_the_number_of_tests(oracle):
    assert oracle.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert oracle.holm([0.5, 0.9]) == pytest.approx([1, 1])


def test_the_permutation_test_finds_a_shortcut_and_passes_noise(oracle):
    rng = np.random.default_rng(0)
    disease = np.tile([0, 1], 100)
    telling = rng.normal(size=(200, 3)) + 0.8 * disease[:, None] * [1, 0, 0]
    auc, p = oracle.permutation_test(telling, disease, 199, 0)
    assert auc > 0.6
    assert p == pytest.approx(1 / 200)
    noise = [oracle.permutation_test(rng.normal(size=(200, 3)), disease, 49, k) for k in range(6)]
    assert np.mean([auc for auc, _ in noise]) == pytest.approx(0.5, abs=0.05)
    assert sum(p <= 0.05 for _, p in noise) <= 3


def test_a_shortcut_in_the_spread_is_found_by_squares(oracle):
    rng = np.random.default_rng(1)
    disease = np.tile([0, 1], 100)
    auc, p = oracle.permutation_test(rng.normal(size=(200, 1)) * (1 + 2 * disease[:, None]), disease, 199, 0)
    assert auc > 0.65
    assert p <= 0.005


def test_the_interval_contains_the_auc_and_narrows_with_the_subjects(oracle):
    rng = np.random.default_rng(2)
    widths = []
    for n in (60, 600):
        disease = np.tile([0, 1], n // 2)
        auc, low, high = oracle.auc_interval(disease, rng.normal(size=n) + disease)
        assert low < auc < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_auc_is_the_share_of_ordered_pairs_with_ties_counted_half(oracle):
    disease, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.5, 0.5, 0.9])
    assert oracle.auc_interval(disease, score)[0] == pytest.approx((2 + 1 + 0.5) / 4)
