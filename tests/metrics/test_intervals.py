"""Means, their number of scans, and their bootstrap intervals."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from joint_seg_cls.metrics import (
    auc,
    bootstrap_interval,
    bootstrap_ratio,
    empty_references,
    proportion_interval,
    summarise,
)


def test_the_interval_of_a_mean_agrees_with_scipy_and_has_its_nominal_coverage():
    values = np.random.default_rng(0).normal(5, 2, size=60)
    low, high = bootstrap_interval(values, seed=1, resamples=4000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, random_state=np.random.default_rng(2)
    ).confidence_interval
    assert low == pytest.approx(theirs.low, abs=0.05)
    assert high == pytest.approx(theirs.high, abs=0.05)
    half = 1.96 * values.std() / math.sqrt(60)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.07)


def test_one_seed_gives_one_interval():
    values = np.arange(10.0)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_whole_subjects_are_drawn():
    table = pd.DataFrame({"subject": ["a"] * 20 + ["b"] * 2, "dsc": [0.0] * 20 + [1.0] * 2})
    seen = set()

    def statistic(rows):
        seen.add((int((rows["subject"] == "a").sum()), int((rows["subject"] == "b").sum())))
        return rows["dsc"].mean()

    by_subject = bootstrap_interval(table, statistic, seed=0, group="subject", resamples=200)
    assert seen == {(40, 0), (20, 2), (0, 4)}
    assert by_subject == (0.0, 1.0)
    by_scan = bootstrap_interval(table["dsc"], seed=0)
    assert by_scan.high < 0.3
    assert bootstrap_interval(table["dsc"].to_numpy(), seed=0, group=table["subject"].to_numpy()) == (0.0, 1.0)


def test_a_resample_with_one_class_is_excluded():
    table = pd.DataFrame({"p": [0.1, 0.2, 0.9], "y": [0, 0, 1]})
    undefined = []

    def statistic(rows):
        found = auc(np.stack([1 - rows["p"], rows["p"]], axis=1), rows["y"].to_numpy())
        undefined.append(math.isnan(found))
        return found

    assert bootstrap_interval(table, statistic, seed=0, resamples=100) == (1.0, 1.0)
    assert 0 < sum(undefined) < 100


def test_intervals_of_ratios_and_means_equal_the_general_bootstrap():
    rng = np.random.default_rng(3)
    below = rng.integers(0, 4, 40)
    above = rng.binomial(below, 0.6)
    people = rng.integers(0, 12, 40)
    pairs = np.stack([above, below], axis=1)
    slow = bootstrap_interval(pairs, lambda rows: rows[:, 0].sum() / rows[:, 1].sum(), seed=5, group=people)
    assert bootstrap_ratio(above, below, seed=5, group=people) == pytest.approx(slow)
    values = np.where(below > 0, above / np.maximum(below, 1), math.nan)
    slow = bootstrap_interval(values, lambda some: float(np.nanmean(some)), seed=5, group=people)
    assert bootstrap_interval(values, seed=5, group=people) == pytest.approx(slow)


def test_invalid_input_of_the_bootstrap_is_refused():
    assert all(math.isnan(end) for end in bootstrap_interval([], seed=0))
    assert all(math.isnan(end) for end in bootstrap_interval([math.nan, math.nan], seed=0))
    with pytest.raises(ValueError, match="2 groups were given for 3 scans"):
        bootstrap_interval(np.zeros(3), seed=0, group=["a", "b"])
    with pytest.raises(TypeError, match="requires a table"):
        bootstrap_interval(np.zeros(3), seed=0, group="subject")


def test_a_summary_excludes_undefined_scans_and_reports_the_number():
    summary = summarise([0.5, math.nan, 0.7], seed=0, group=["a", "b", "c"])
    assert summary.n == 2
    assert summary.mean == pytest.approx(0.6)
    assert summary.sd == pytest.approx(math.sqrt(0.02))
    assert summary.interval == pytest.approx((0.5, 0.7))
    nothing = summarise([math.nan], seed=0)
    assert nothing.n == 0
    assert math.isnan(nothing.mean)


def test_scans_without_a_lesion_are_reported_separately():
    assert empty_references([True, False, True, True], [0.0, 9.0, 0.3, 0.6]) == (
        3,
        pytest.approx(1 / 3),
        pytest.approx(0.3),
    )
    none = empty_references([False], [1.0])
    assert none.n == 0
    assert math.isnan(none.predicted_empty)


def test_a_share_of_all_or_none_has_an_exact_interval_over_subjects():
    from scipy.stats import binomtest

    people = np.array(["a", "a", "b", "c", "d"])
    whole = np.array([3.0, 1, 2, 4, 0])  # d has none
    exact = binomtest(3, 3).proportion_ci(0.95, method="exact")
    assert proportion_interval(whole, whole, seed=0, group=people) == pytest.approx((exact.low, exact.high))
    none = proportion_interval(np.zeros(5), whole, seed=0, group=people)
    assert none == pytest.approx((1 - exact.high, 1 - exact.low))
    part = np.array([1.0, 1, 2, 0, 0])
    assert proportion_interval(part, whole, seed=0, group=people) == bootstrap_ratio(part, whole, seed=0, group=people)
    assert np.isnan(proportion_interval(np.zeros(2), np.zeros(2), seed=0)).all()
