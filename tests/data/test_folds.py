"""Folds: every case is tested once, subjects are on one side, classes are balanced."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joint_seg_cls.data import Folds, Split, make_folds
from joint_seg_cls.data.folds import KINDS
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import Geometry, Grid, PreparedCase

GRID = Grid((16, 16, 16), np.diag([-1.2, 1.1, 0.9, 1.0]))


def record(name: str, subject: str, disease: str | None) -> PreparedCase:
    return PreparedCase(Path("cohort") / name, name, subject, None, disease, False, "0", Geometry(GRID, GRID))


@st.composite
def cohorts(draw, most_visits: int = 4) -> list[PreparedCase]:
    cases = []
    for disease, least in (("MS", 5), ("NMOSD", 5), (None, 0)):
        for number in range(draw(st.integers(least, least + 12))):
            subject = f"{disease}{number:02}"
            visits = draw(st.integers(1, most_visits))
            cases += [record(f"{subject}_{visit}", subject, disease) for visit in range(visits)]
    return cases


@given(cohorts(), st.sampled_from(sorted(KINDS)), st.integers(2, 5), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_every_case_is_tested_in_exactly_one_fold(cases, kind, count, seed):
    folds = make_folds(cases, kind, count, seed)
    assert len(folds) == count
    assert sorted(name for fold in folds for name in fold) == sorted(case.case for case in cases)


@given(cohorts(), st.sampled_from(["grouped", "strict"]), st.integers(2, 5), st.floats(0.1, 0.5))
@settings(deadline=None, max_examples=60)
def test_no_subject_is_in_two_parts(cases, kind, count, fraction):
    subject = {case.case: case.subject for case in cases}
    for fold in range(count):
        split = Folds(kind, count).split(cases, fold, fraction)
        sides = [{subject[name] for name in part} for part in (split.train, split.validation, split.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides)) == len(set(subject.values()))


@given(cohorts(most_visits=1), st.sampled_from(["stratified", "strict"]), st.integers(2, 5), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_class_counts_differ_by_at_most_one(cases, kind, count, seed):
    disease = {case.case: case.disease for case in cases}
    total = Counter(disease.values())
    for fold in make_folds(cases, kind, count, seed):
        here = Counter(disease[name] for name in fold)
        assert all(abs(here[name] - total[name] / count) < 1 for name in total)


@given(cohorts(), st.sampled_from(sorted(KINDS)), st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_order_of_the_cases_changes_nothing(cases, kind, random):
    folds = Folds(kind, 3)
    before = [folds.split(cases, fold, 0.2) for fold in range(3)]
    random.shuffle(cases)
    assert [folds.split(cases, fold, 0.2) for fold in range(3)] == before


def test_sizes_of_random_folds_differ_by_at_most_one():
    cases = [record(f"c{i}", f"c{i}", "MS" if i % 3 else "NMOSD") for i in range(23)]
    assert sorted(map(len, make_folds(cases, "random", 5, 0))) == [4, 4, 5, 5, 5]


def test_another_seed_gives_other_folds_and_the_same_seed_the_same():
    cases = [record(f"c{i}", f"c{i}", "MS" if i % 2 else "NMOSD") for i in range(40)]
    assert make_folds(cases, "strict", 5, 0) == make_folds(cases, "strict", 5, 0)
    assert make_folds(cases, "strict", 5, 0) != make_folds(cases, "strict", 5, 1)


def test_random_folds_split_subjects_and_grouped_ones_do_not():
    cases = [record(f"c{i}", f"s{i // 4}", "MS") for i in range(20)]
    spread = [len({name for name in fold if int(name[1:]) < 4}) for fold in make_folds(cases, "random", 5, 0)]
    assert max(spread) < 4
    together = [len({name for name in fold if int(name[1:]) < 4}) for fold in make_folds(cases, "grouped", 5, 0)]
    assert sorted(together) == [0, 0, 0, 0, 4]


def test_subjects_with_many_visits_are_distributed_over_folds():
    cases = [record(f"r{i}_{v}", f"r{i}", "MS") for i, visits in enumerate((4, 4, 4, 4, 5)) for v in range(visits)]
    cases += [record(f"m{i}", f"m{i}", "MS") for i in range(48)] + [
        record(f"n{i}", f"n{i}", "NMOSD") for i in range(62)
    ]
    folds = make_folds(cases, "strict", 5, 0)
    assert [len({name.split("_")[0] for name in fold if name[0] == "r"}) for fold in folds] == [1] * 5
    assert max(map(len, folds)) - min(map(len, folds)) <= 2


def test_lesion_load_is_balanced(make_store):
    loads = [1, 2, 3, 4, 5, 100, 110, 120, 130, 140, 800, 810, 820, 830, 840]
    store = make_store([(f"c{i}", f"c{i}", "MS", load) for i, load in enumerate(loads)])
    for seed in range(5):
        for fold in make_folds(store.cases, "stratified", 5, seed):
            classes = sorted(min(2, loads[int(name[1:])] // 100 + (loads[int(name[1:])] > 500)) for name in fold)
            assert classes == [0, 1, 2]


def test_scans_without_a_disease_or_a_mask_are_distributed(store):
    folds = make_folds(store.cases, "strict", 5, 0)
    assert sum("u0" in fold for fold in folds) == 1
    rows = [record(f"u{i}", f"u{i}", None) for i in range(5)] + [record(f"m{i}", f"m{i}", "MS") for i in range(5)]
    assert [sum(name[0] == "u" for name in fold) for fold in make_folds(rows, "strict", 5, 3)] == [1] * 5


def test_fewer_unlabelled_scans_than_folds_are_accepted():
    cases = [record(f"m{i}", f"m{i}", "MS") for i in range(5)] + [record("u", "u", None)]
    assert sum(map(len, make_folds(cases, "strict", 5, 0))) == 6


def test_validation_takes_the_fraction_of_each_class_and_no_test_case():
    cases = [record(f"m{i}", f"m{i}", "MS") for i in range(50)] + [record(f"n{i}", f"n{i}", "NMOSD") for i in range(25)]
    split = Folds("strict", 5).split(cases, 2, 0.2)
    assert Counter(name[0] for name in split.test) == {"m": 10, "n": 5}
    assert Counter(name[0] for name in split.validation) == {"m": 8, "n": 4}
    assert Counter(name[0] for name in split.train) == {"m": 32, "n": 16}


def test_without_a_fraction_there_is_no_validation():
    cases = [record(f"m{i}", f"m{i}", "MS") for i in range(10)]
    split = Folds("random", 5).split(cases, 0, 0.0)
    assert (len(split.train), split.validation, len(split.test)) == (8, (), 2)


def test_the_hash_depends_on_the_parts_but_not_on_the_order():
    split = Split(("a", "b"), ("c",), ("d",))
    assert split.split_hash == Split(("b", "a"), ("c",), ("d",)).split_hash
    assert split.split_hash != Split(("a",), ("b", "c"), ("d",)).split_hash
    assert len(split.split_hash) == 16


def sentence(kind: type[Exception], call) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_more_folds_than_the_smallest_class_are_refused(kind):
    cases = [record(f"m{i}", f"m{i}", "MS") for i in range(9)] + [record(f"n{i}", f"n{i}", "NMOSD") for i in range(3)]
    text = sentence(SplitError, lambda: make_folds(cases, kind, 5, 0))
    things = "subjects" if KINDS[kind][1] else "cases"
    assert text == (
        f"cohort: expected at least 2 folds and at most 3, the number of {things} of the smallest class, NMOSD, "
        "found data.folds.count=5; set data.folds.count=3."
    )


def test_grouped_folds_count_the_smallest_class_in_subjects():
    cases = [record(f"m{i}", f"m{i}", "MS") for i in range(9)] + [record(f"n{i}", "n", "NMOSD") for i in range(6)]
    assert len(make_folds(cases, "stratified", 5, 0)) == 5
    assert "prepare more subjects of the smallest class, NMOSD" in sentence(
        SplitError, lambda: make_folds(cases, "strict", 5, 0)
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda cases: Folds("strict", 5).split(cases, 5, 0.2), "a fold from 0 to 4, found fold=5"),
        (lambda cases: Folds("strict", 5).split(cases, -1, 0.2), "a fold from 0 to 4, found fold=-1"),
        (lambda cases: Folds("strict", 5).split(cases, 0, 1.0), "found data.validation_fraction=1"),
        (lambda cases: Folds("strict", 1).split(cases, 0, 0.2), "at least 2 folds"),
        (lambda cases: Folds("strict", 2).split(cases[:2], 0, 0.2), "set data.validation_fraction=0"),
        (lambda _: make_folds([], "strict", 5, 0), "expected at least one case, found none"),
    ],
)
def test_impossible_splits_are_refused(call, words):
    cases = [record(f"m{i}", f"m{i}", "MS") for i in range(10)]
    assert words in sentence(SplitError, lambda: call(cases))
