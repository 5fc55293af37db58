"""Simulated patients: frequencies, loads and enrolment follow the tables."""

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.phantom import Balanced, Population
from joint_seg_cls.phantom.parameters import parameters

NONE = {"MS": 0.0, "NMOSD": 0.0}


def drawn(disease: str, *, pooled: bool = False, n: int = 1500):
    return [Population("any", NONE, NONE, pooled).draw(disease, 3, subject) for subject in range(n)]


@pytest.mark.parametrize(("disease", "column"), [("MS", 0), ("NMOSD", 3)])
def test_features_have_the_frequencies_of_the_table(disease, column):
    patients = [patient for patient in drawn(disease, n=2500) if patient.count >= 12]
    for feature, row in parameters()["features"].items():
        if feature != "_columns":
            share = np.mean([feature in patient.features for patient in patients])
            error = 4 * np.sqrt(0.25 / len(patients))
            assert row[column] - error < share < row[column + 2] + error, feature
            assert abs(share - row[column + 1]) < error, feature


@pytest.mark.parametrize(
    ("disease", "median_count", "median_ml"), [("MS", (50, 75), (6.5, 14)), ("NMOSD", (5.5, 8.5), (0.7, 1.4))]
)
def test_loads_have_the_medians_of_the_tables(disease, median_count, median_ml):
    patients = drawn(disease)
    counts, volumes = np.array([p.count for p in patients]), np.array([p.volume_ml for p in patients])
    assert median_count[0] <= np.median(counts) <= median_count[1]
    assert median_ml[0] <= np.median(volumes) <= median_ml[1]
    assert 0.6 < np.corrcoef(np.log(counts), np.log(volumes))[0, 1] < 0.85


def test_a_pooled_load_does_not_separate_the_diseases_but_a_load_by_disease_does():
    def auc(pooled: bool) -> float:
        groups = [Population("any", NONE, NONE, pooled) for _ in range(2)]
        first = [groups[0].draw("MS", 1, subject).count for subject in range(800)]
        second = [groups[1].draw("NMOSD", 1, subject + 800).count for subject in range(800)]
        return roc_auc_score([1] * 800 + [0] * 800, first + second)

    assert 0.45 < auc(True) < 0.55
    assert 0.92 < auc(False) < 0.98


def test_atypical_and_lesion_free_shares_are_met():
    population = Population("any", {"MS": 0.08, "NMOSD": 0.18}, {"MS": 0.02, "NMOSD": 0.38}, False)
    patients = [population.draw("NMOSD", 3, subject) for subject in range(2000)]
    assert abs(np.mean([p.atypical for p in patients]) - 0.18) < 0.035
    assert abs(np.mean([p.count == 0 for p in patients]) - 0.38) < 0.045
    assert all(p.volume_ml == 0 and not p.features for p in patients if p.count == 0)
    assert all(p.volume_ml > 0 for p in patients if p.count > 0)


def test_every_pair_has_both_diseases_in_random_order():
    recruitment = Balanced(200, 100, 1)
    diseases = [recruitment.enrol(5, subject).disease for subject in range(1, 201)]
    pairs = list(zip(diseases[::2], diseases[1::2], strict=True))
    assert all(set(pair) == {"MS", "NMOSD"} for pair in pairs)
    assert 30 < Counter(pairs)["MS", "NMOSD"] < 70


def test_the_paper_preset_has_the_papers_composition(preset):
    cohort = preset("paper", "seed=2")
    enrolments = [cohort.recruitment.enrol(2, subject) for subject in range(1, cohort.recruitment.subjects() + 1)]
    isbi = [e for e in enrolments if e.site == "ISBI-2015-like"]
    other = [e for e in enrolments if e.site != "ISBI-2015-like"]
    assert (len(isbi), sum(e.visits for e in isbi), {e.disease for e in isbi}) == (5, 21, {"MS"})
    assert Counter(e.disease for e in other) == {"MS": 48, "NMOSD": 62}
    assert {e.visits for e in other} == {1}
    assert len({e.site for e in other}) == 1
    with pytest.raises(ConfigError, match="visits"):
        preset("paper", "visits=2").recruitment.subjects()


def test_people_and_sites_are_independent_of_the_disease(preset):
    cohort = preset("lifelike", "subjects=600", "seed=8")
    people = [(cohort.patient(s)[0].disease, cohort.person(s, 1)) for s in range(1, 601)]
    is_ms = np.array([disease == "MS" for disease, _ in people])
    age = np.array([int(who["age"]) for _, who in people])
    assert 0.43 < roc_auc_score(is_ms, age) < 0.57
    for key in ("site", "sex"):
        values = np.array([who[key] for _, who in people])
        assert len(set(values)) >= 2
        for value in set(values):
            assert abs(np.mean(values[is_ms] == value) - np.mean(values[~is_ms] == value)) < 0.13
    assert "ISBI-2015-like" not in {who["site"] for _, who in people}


def test_only_age_changes_between_visits(preset):
    cohort = preset("clear", "visits=5")
    visits = [cohort.person(7, visit) for visit in range(1, 6)]
    ages = [int(who["age"]) for who in visits]
    assert ages == sorted(ages)
    assert 1 <= ages[-1] - ages[0] <= 6
    assert len({(who["sex"], who["site"]) for who in visits}) == 1
