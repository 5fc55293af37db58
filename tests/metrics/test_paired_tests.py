"""Paired tests compared with independent slow formulas on random data."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from statsmodels.stats.contingency_tables import mcnemar

from joint_seg_cls.metrics import (
    auc,
    bootstrap_interval,
    bootstrap_ratio,
    compare_accuracies,
    compare_areas,
    compare_aucs,
    compare_means,
    compare_multiclass_aucs,
    placements,
    sign_flip_test,
)


def wins(one, other):
    return 1.0 if one > other else 0.5 if one == other else 0.0


def delong_by_pairs(first, second, positive):
    """DeLong 1988 for one scan per subject: structural components by all pairs, and their covariance matrices."""
    components = []
    for score in (first, second):
        above, below = score[positive], score[~positive]
        table = np.array([[wins(one, other) for other in below] for one in above])
        components.append((table.mean(axis=1), table.mean(axis=0)))
    of_positive = np.cov(np.stack([each[0] for each in components]))
    of_negative = np.cov(np.stack([each[1] for each in components]))
    covariance = of_positive / positive.sum() + of_negative / (~positive).sum()
    contrast = np.array([1.0, -1.0])
    difference = components[0][0].mean() - components[1][0].mean()
    return difference, math.sqrt(contrast @ covariance @ contrast)


def obuchowski(first, second, positive, subject):
    """Obuchowski 1997 for clustered data, with loops over subjects and separate variances and covariances."""
    people, areas, ten, one = sorted(set(subject)), [], [], []
    m, n = positive.sum(), (~positive).sum()
    for score in (first, second):
        v10 = [np.mean([wins(score[i], score[j]) for j in np.flatnonzero(~positive)]) for i in np.flatnonzero(positive)]
        v01 = [np.mean([wins(score[i], score[j]) for i in np.flatnonzero(positive)]) for j in np.flatnonzero(~positive)]
        areas.append(np.mean(v10))
        sums = [{}, {}]
        for person in people:
            own_p = [v for v, i in zip(v10, np.flatnonzero(positive), strict=True) if subject[i] == person]
            own_n = [v for v, i in zip(v01, np.flatnonzero(~positive), strict=True) if subject[i] == person]
            sums[0][person] = sum(own_p) - len(own_p) * areas[-1]
            sums[1][person] = sum(own_n) - len(own_n) * areas[-1]
        ten.append(sums[0])
        one.append(sums[1])
    with_p = len({subject[i] for i in np.flatnonzero(positive)})
    with_n = len({subject[i] for i in np.flatnonzero(~positive)})
    k = len(people)

    def covariance(a, b):
        s10 = with_p / ((with_p - 1) * m) * sum(ten[a][p] * ten[b][p] for p in people)
        s01 = with_n / ((with_n - 1) * n) * sum(one[a][p] * one[b][p] for p in people)
        s11 = k / (k - 1) * sum(ten[a][p] * one[b][p] for p in people)
        s11_other = k / (k - 1) * sum(ten[b][p] * one[a][p] for p in people)
        return s10 / m + s01 / n + (s11 + s11_other) / (m * n)

    return areas[0] - areas[1], math.sqrt(covariance(0, 0) + covariance(1, 1) - 2 * covariance(0, 1))


@pytest.mark.parametrize("seed", range(5))
def test_delong_equals_all_pairs_with_ties(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(40) < 0.4
    first = np.round(positive + rng.normal(0, 1, 40), 1)
    second = np.round(0.5 * positive + rng.normal(0, 1, 40), 1)
    found = compare_areas(first, second, positive, np.arange(40))
    difference, error = delong_by_pairs(first, second, positive)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.p == pytest.approx(math.erfc(abs(difference) / error / math.sqrt(2)), rel=1e-9)
    both = np.stack([1 - first, first], axis=1)
    assert found.first == pytest.approx(auc(both, positive.astype(int)), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_delong_of_subjects_with_several_scans_equals_obuchowski(seed):
    rng = np.random.default_rng(seed)
    subject = rng.integers(0, 12, 45)
    positive = rng.random(45) < 0.5  # a subject may have scans of both classes
    shared = rng.normal(0, 1, 12)[subject]
    first, second = positive + shared + rng.normal(0, 0.5, 45), positive + rng.normal(0, 1, 45)
    found = compare_areas(first, second, positive, subject)
    difference, error = obuchowski(first, second, positive, subject)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_areas_of_several_folds_are_compared_fold_by_fold(seed):
    rng = np.random.default_rng(seed)
    fold, positive = np.repeat(["0", "1", "2"], [40, 30, 35]), rng.random(105) < 0.5
    first, second = positive + rng.normal(0, 1, 105), 0.5 * positive + rng.normal(0, 1, 105)
    found = compare_areas(first, second, positive, np.arange(105), fold)
    alone = [delong_by_pairs(first[fold == one], second[fold == one], positive[fold == one]) for one in "012"]
    assert found.difference == pytest.approx(np.mean([difference for difference, _ in alone]), abs=1e-12)
    assert found.standard_error == pytest.approx(math.sqrt(sum(error**2 for _, error in alone)) / 3, rel=1e-9)
    scales = np.array([0.1, 1.0, 20.0])[fold.astype(int)] * first + 7 * fold.astype(int)  # networks of other scales
    assert compare_areas(scales, second, positive, np.arange(105), fold) == pytest.approx(found)


def test_a_subject_in_two_folds_is_one_subject():
    rng = np.random.default_rng(0)
    positive = np.repeat([True, False], 100)
    first, second = positive + rng.normal(0, 1, 200), positive + rng.normal(0, 1.5, 200)
    alone = compare_areas(first, second, positive, np.arange(200))
    twice = [np.tile(each, 2) for each in (first, second, positive, np.arange(200))]
    assert compare_areas(*twice, np.repeat([0, 1], 200)).standard_error == pytest.approx(alone.standard_error, rel=0.01)


def test_a_fold_without_a_defined_variance_is_excluded():
    rng = np.random.default_rng(0)
    positive = np.array([True, False] * 10 + [True] + [False] * 9)
    first, second, subject = rng.normal(size=30), rng.normal(size=30), np.arange(30)
    fold = np.repeat([0, 1], [20, 10])
    found = compare_aucs(first[:, None], second[:, None], positive, subject, fold=fold)
    caveat = "1 of 2 folds have two subjects of each class"
    assert found == compare_aucs(first[:20, None], second[:20, None], positive[:20], subject[:20])._replace(
        caveat=caveat
    )
    assert found.scans == found.subjects == 20
    left_out = compare_aucs(first[:, None], second[:, None], positive, subject, fold=subject)  # one subject per fold
    assert "ranked together" in left_out.caveat
    assert left_out._replace(caveat="") == compare_aucs(first[:, None], second[:, None], positive, subject)


def test_copied_scans_of_the_same_subjects_add_no_evidence():
    rng = np.random.default_rng(1)
    positive = np.repeat([True, False], 20)
    first, second = positive + rng.normal(0, 1, 40), positive + rng.normal(0, 1.5, 40)
    alone = compare_areas(first, second, positive, np.arange(40))
    thrice = compare_areas(*(np.tile(each, 3) for each in (first, second, positive, np.arange(40))))
    assert thrice.standard_error == pytest.approx(alone.standard_error, rel=1e-9)
    as_if = compare_areas(*(np.tile(each, 3) for each in (first, second, positive)), np.arange(120))
    assert as_if.standard_error < 0.65 * alone.standard_error


def test_placements_of_several_seeds_are_averaged():
    rng = np.random.default_rng(0)
    positive, score = rng.random(30) < 0.5, rng.normal(size=(30, 3))
    each = np.mean([placements(score[:, column], positive) for column in range(3)], axis=0)
    np.testing.assert_allclose(placements(score, positive), each)


def test_constant_equal_areas_do_not_differ_and_one_class_is_undefined():
    positive = np.repeat([True, False], 5)
    perfect = positive.astype(float)
    assert compare_areas(perfect, 2 * perfect, positive, np.arange(10)).p == 1
    assert math.isnan(compare_areas(perfect, perfect, np.ones(10, bool), np.arange(10)).p)
    undefined = compare_aucs(perfect[:, None], perfect[:, None], np.ones(10, bool), np.arange(10))
    assert undefined.scans == 0


def signed_rank_by_enumeration(differences):
    ranks = rankdata(np.abs(differences))
    statistic = abs((ranks * np.sign(differences)).sum())
    every = [abs((ranks * np.array(signs)).sum()) for signs in itertools.product((-1, 1), repeat=len(ranks))]
    return np.mean(np.array(every) >= statistic - 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_signed_ranks_use_one_difference_per_subject(seed):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(9), [1, 3, 2, 1, 4, 1, 2, 1, 1])
    first, second = rng.random(16), rng.random(16) - 0.3
    first[5] = np.nan
    found = compare_means(first, second, subject, seed=0)
    table = pd.DataFrame({"gap": first - second, "subject": subject}).dropna()
    by_subject = table.groupby("subject")["gap"].mean().to_numpy()
    assert found.p == pytest.approx(signed_rank_by_enumeration(by_subject))
    assert found.difference == pytest.approx(table["gap"].mean())
    assert (found.scans, found.subjects) == (15, 9)
    assert found.low < found.difference < found.high


def test_equal_methods_do_not_differ_and_no_scans_are_undefined():
    same = np.array([0.3, 0.5, 0.7])
    assert compare_means(same, same, np.arange(3)).p == 1
    nothing = compare_means(np.full(3, np.nan), same, np.arange(3))
    assert math.isnan(nothing.p)
    assert nothing.scans == 0


@pytest.mark.parametrize("seed", range(5))
def test_with_one_scan_per_subject_the_sign_flip_test_is_mcnemars(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.random(60) < 0.8, rng.random(60) < 0.6
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    found = compare_accuracies(first[:, None], second[:, None], np.arange(60))
    assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert found.difference == pytest.approx(first.mean() - second.mean())


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_flip_test_equals_all_flips_of_subjects(seed):
    rng = np.random.default_rng(seed)
    sums = rng.integers(-4, 5, 10)
    every = [abs((sums * np.array(signs)).sum()) for signs in itertools.product((-1, 1), repeat=10)]
    assert sign_flip_test(sums) == pytest.approx(np.mean(np.array(every) >= abs(sums.sum())))
    assert sign_flip_test(3 * sums) == pytest.approx(sign_flip_test(sums))


def test_accuracies_over_seeds_flip_whole_subjects():
    rng = np.random.default_rng(7)
    first, second = rng.random((20, 3)) < 0.8, rng.random((20, 2)) < 0.6
    subject = np.repeat(np.arange(8), [2, 3, 1, 4, 2, 3, 1, 4])
    found = compare_accuracies(first, second, subject)
    gap = first.mean(axis=1) - second.mean(axis=1)
    sums = np.array([gap[subject == one].sum() for one in range(8)])
    every = [abs((sums * np.array(signs)).sum()) for signs in itertools.product((-1, 1), repeat=8)]
    assert found.p == pytest.approx(np.mean(np.array(every) >= abs(sums.sum()) - 1e-9))


def test_areas_of_three_classes_differ_from_guessing():
    rng = np.random.default_rng(0)
    disease = np.arange(90) % 3
    good = np.eye(3)[disease] + rng.normal(0, 0.4, (90, 3))
    guess = rng.random((90, 3))
    found = compare_multiclass_aucs(good[..., None], guess[..., None], disease, np.arange(90), resamples=300)
    assert found.difference == pytest.approx(auc(good, disease) - auc(guess, disease))
    assert found.p == pytest.approx(2 / 301)
    assert found.low > 0.2
    same = compare_multiclass_aucs(guess[..., None], guess[..., None], disease, np.arange(90), resamples=50)
    assert same.p == 1


def test_areas_of_three_classes_are_means_over_folds_with_all_classes():
    rng = np.random.default_rng(1)
    fold = np.repeat([0, 1, 2], 30)
    disease = np.concatenate([np.arange(60) % 3, np.arange(30) % 2])
    first, second = (np.eye(3)[disease] + rng.normal(0, noise, (90, 3)) for noise in (0.5, 1.0))
    found = compare_multiclass_aucs(
        first[..., None], second[..., None], disease, np.arange(90), fold=fold, resamples=50
    )
    gaps = [
        auc(first[fold == one], disease[fold == one]) - auc(second[fold == one], disease[fold == one]) for one in (0, 1)
    ]
    assert found.difference == pytest.approx(np.mean(gaps))
    assert found.low < found.difference < found.high
    alone = compare_multiclass_aucs(
        first[..., None], second[..., None], disease, np.arange(90), fold=np.arange(90), resamples=50
    )
    together = compare_multiclass_aucs(first[..., None], second[..., None], disease, np.arange(90), resamples=50)
    assert "ranked together" in alone.caveat
    assert alone._replace(caveat="") == together


def test_means_and_accuracies_are_means_over_folds_as_in_tables():
    rng = np.random.default_rng(0)
    fold, subject = np.repeat(["a", "b", "c"], [60, 6, 6]), np.arange(72)
    gap = np.where(fold == "a", 0.1, -0.3) + rng.normal(0, 0.02, 72)
    found = compare_means(gap, np.zeros(72), subject, fold=fold)
    means = [gap[fold == one].mean() for one in "abc"]
    assert found.difference == pytest.approx(np.mean(means))
    error = math.sqrt(sum(gap[fold == one].var() / (fold == one).sum() for one in "abc") / 9 * 72 / 71)
    alone = compare_means(gap, np.zeros(72), subject)
    assert found.smallest / alone.smallest == pytest.approx(error / (gap.std(ddof=1) / math.sqrt(72)))
    assert found.low < found.difference < found.high < 0 < alone.difference
    assert found.p == alone.p  # the test weights subjects equally: most of them favour the first method
    assert "opposite direction" in found.caveat
    assert alone.caveat == ""
    right, wrong = (gap > 0)[:, None], (gap <= 0)[:, None]
    accuracies = compare_accuracies(right, wrong, subject, fold=fold)
    assert accuracies.difference == pytest.approx(-1 / 3)
    assert "opposite direction" in accuracies.caveat
    assert compare_accuracies(right, wrong, subject).caveat == ""


def test_a_bootstrap_over_folds_is_of_the_mean_of_their_means():
    rng = np.random.default_rng(0)
    values, fold, subject = rng.normal(size=50), rng.integers(0, 3, 50), rng.integers(0, 20, 50)

    def mean_of_means(chosen):
        parts = [values[chosen[fold[chosen] == one]] for one in range(3)]
        return float(np.mean([part.mean() for part in parts if len(part)]))

    slow = bootstrap_interval(np.arange(50), mean_of_means, seed=3, group=subject, resamples=200)
    fast = bootstrap_ratio(values, np.ones(50), seed=3, group=subject, fold=fold, resamples=200)
    assert fast == pytest.approx(slow)
