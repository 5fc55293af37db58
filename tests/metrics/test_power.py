"""The smallest detectable difference is detected with 80 % power."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm, wilcoxon
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower

from joint_seg_cls.metrics import compare_areas, detectable_accuracy, detectable_mean, detectable_normal


def test_the_signed_rank_test_detects_the_smallest_mean_difference_with_80_percent_power():
    rng = np.random.default_rng(0)
    subjects, sd = 40, 0.1
    smallest = detectable_mean(sd / math.sqrt(subjects), subjects, 0.05)
    gaps = rng.normal(smallest, sd, (1500, subjects))
    shown = np.mean([wilcoxon(gap).pvalue < 0.05 for gap in gaps])
    assert shown == pytest.approx(0.8, abs=0.035)


@pytest.mark.parametrize(("subjects", "alpha"), [(12, 0.05), (30, 0.01), (200, 0.0025)])
def test_the_smallest_mean_difference_is_that_of_the_t_test_over_the_efficiency(subjects, alpha):
    effect = TTestPower().solve_power(nobs=subjects, alpha=alpha, power=0.8)
    expected = effect * math.sqrt(subjects) * 0.02 / math.sqrt(3 / math.pi)
    assert detectable_mean(0.02, subjects, alpha) == pytest.approx(expected, rel=1e-4)


def test_too_few_subjects_detect_no_difference():
    assert detectable_mean(0.01, 5, 0.05) == math.inf  # five equal signs have p = 1/16
    assert detectable_mean(0.01, 6, 0.05) < math.inf
    assert detectable_mean(0.01, 6, 0.05 / 2) == math.inf
    assert math.isnan(detectable_mean(0.0, 30, 0.05))
    assert detectable_accuracy(5, 0.2, 0.05) == math.inf


def test_a_normal_statistic_detects_its_smallest_difference_with_80_percent_power():
    smallest = detectable_normal(2.0, 0.01)
    power = norm.sf(norm.isf(0.005) - smallest / 2.0)
    assert power == pytest.approx(0.8)
    assert math.isnan(detectable_normal(0.0, 0.05))


def test_delong_detects_the_smallest_difference_of_areas_with_80_percent_power():
    rng = np.random.default_rng(1)
    positive, people = np.repeat([True, False], 60), np.arange(120)

    def trial(effect):
        noise = rng.normal(size=(2, 120))
        return compare_areas(effect * positive + noise[0], 0.5 * positive + noise[1], positive, people)

    effect = 1.35
    trials = [trial(effect) for _ in range(600)]
    true = norm.cdf(effect / math.sqrt(2)) - norm.cdf(0.5 / math.sqrt(2))
    smallest = np.median([detectable_normal(one.standard_error, 0.05) for one in trials])
    shown = np.mean([one.p < 0.05 for one in trials])
    by_formula = norm.cdf((true / smallest) * (norm.isf(0.025) + norm.isf(0.2)) - norm.isf(0.025))
    assert shown == pytest.approx(by_formula, abs=0.04)


def power_by_enumeration(scans, difference, discordant, alpha):
    """All outcomes of McNemar's table: b scans favour one method and c scans the other."""
    share = max(discordant, difference)
    for_first, for_second = (share + difference) / 2, (share - difference) / 2
    power = 0.0
    for b, c in itertools.product(range(scans + 1), repeat=2):
        if b + c <= scans and b > c and mcnemar([[0, b], [c, 0]], exact=True).pvalue <= alpha:
            ways = math.factorial(scans) / math.factorial(b) / math.factorial(c) / math.factorial(scans - b - c)
            power += ways * for_first**b * for_second**c * (1 - share) ** (scans - b - c)
    return power


@pytest.mark.parametrize(("discordant", "alpha"), [(0.1, 0.05), (0.4, 0.05), (0.0, 0.02)])
def test_the_smallest_difference_of_accuracies_by_enumeration(discordant, alpha):
    scans = 24
    smallest = detectable_accuracy(scans, discordant, alpha)
    assert power_by_enumeration(scans, smallest, discordant, alpha) >= 0.8
    assert power_by_enumeration(scans, smallest - 1 / scans, discordant, alpha) < 0.8
