"""Means over folds and seeds compared with pandas, and intervals with a bootstrap written with pandas."""

import math

import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.metrics import Ratio, across_folds, auc


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"subject": rng.integers(0, 25, 60)})
    table["fold"] = table["subject"] % 4
    table["score"] = rng.random(60)
    table["disease"] = (rng.random(60) < 0.5).astype(int)
    table["dsc"] = rng.random(60) + 0.1 * table["fold"]
    table.loc[3, "dsc"] = np.nan
    seeds = [table.assign(seed=seed, dsc=table["dsc"] + 0.05 * seed) for seed in (0, 1)]
    return pd.concat(seeds, ignore_index=True)


def columns(rows):
    return rows["fold"].to_numpy(), rows["seed"].to_numpy(), rows["subject"].to_numpy()


def test_means_and_spreads_equal_those_of_pandas(rows):
    values = rows["dsc"].to_numpy()
    found = across_folds(lambda chosen: float(np.nanmean(values[chosen])), *columns(rows), draws_seed=0)
    by_fold = rows.groupby(["seed", "fold"])["dsc"].mean().unstack()
    assert found.mean == pytest.approx(by_fold.to_numpy().mean())
    assert found.sd_folds == pytest.approx(by_fold.std(axis=1).mean())
    assert found.sd_seeds == pytest.approx(by_fold.mean(axis=1).std())
    assert found.pooled == pytest.approx(rows.groupby("seed")["dsc"].mean().mean())
    assert found.folds == 8


def test_the_interval_is_of_the_mean_over_folds_and_of_whole_subjects(rows):
    values = rows["dsc"].to_numpy()
    found = across_folds(lambda chosen: float(np.nanmean(values[chosen])), *columns(rows), draws_seed=0)
    rng = np.random.default_rng(99)
    people = dict(list(rows.groupby("subject")))
    draws = []
    for _ in range(600):
        drawn = pd.concat([people[one] for one in rng.choice(list(people), len(people))])
        draws.append(drawn.groupby(["seed", "fold"])["dsc"].mean().groupby("seed").mean().mean())
    np.testing.assert_allclose(found.interval, np.quantile(draws, [0.025, 0.975]), atol=0.015)


@pytest.mark.parametrize("left_out", [None, 2])
def test_a_ratio_has_the_same_values_and_interval_as_its_function(rows, left_out):
    rows = rows[(rows["seed"] != 0) | (rows["fold"] != left_out)].reset_index(drop=True)
    above, below = rows["score"].to_numpy(), rows["disease"].to_numpy() * (rows["fold"] != 1).to_numpy()

    def ratio(chosen):
        return float(above[chosen].sum() / below[chosen].sum()) if below[chosen].sum() else math.nan

    given = {"draws_seed": 3, "resamples": 200}
    slow, fast = (across_folds(measure, *columns(rows), **given) for measure in (ratio, Ratio(above, below)))
    np.testing.assert_allclose(fast.interval, slow.interval, rtol=1e-12)
    np.testing.assert_equal(fast._replace(interval=slow.interval), slow)
    assert fast.folds < 8


def test_seeds_with_different_folds_have_no_spread(rows):
    uneven = rows[(rows["seed"] != 0) | (rows["fold"] != 2)].reset_index(drop=True)
    score = uneven["score"].to_numpy()
    found = across_folds(lambda chosen: float(score[chosen].mean()), *columns(uneven), draws_seed=0)
    assert math.isnan(found.sd_seeds)
    assert not math.isnan(found.mean)


def test_a_fold_without_a_class_is_excluded_from_the_auc(rows):
    one_seed = rows[rows["seed"] == 0].reset_index(drop=True)
    one_seed.loc[one_seed["fold"] == 2, "disease"] = 1
    probability = np.stack([1 - one_seed["score"], one_seed["score"]], axis=1)
    disease = one_seed["disease"].to_numpy()
    found = across_folds(lambda chosen: auc(probability[chosen], disease[chosen]), *columns(one_seed), draws_seed=0)
    expected = [auc(probability[own], disease[own]) for fold in (0, 1, 3) for own in [one_seed["fold"] == fold]]
    assert found.folds == 3
    assert found.mean == pytest.approx(np.mean(expected))
    assert math.isnan(found.sd_seeds)


def test_one_fold_has_no_spread_and_no_fold_has_no_value():
    one = across_folds(lambda _: 0.5, np.zeros(3), np.zeros(3), np.arange(3), draws_seed=0)
    assert (one.mean, one.folds) == (0.5, 1)
    assert math.isnan(one.sd_folds)
    nothing = across_folds(lambda _: 0.5, np.array([]), np.array([]), np.array([]), draws_seed=0)
    assert math.isnan(nothing.mean)
    assert nothing.folds == 0
