"""Confounders of the disease: hand-computed areas, pure categories, missing values, tiny cohorts."""

import math

import numpy as np
import pytest

from joint_seg_cls.audit.confounding import check_confounding, measure_confounding
from joint_seg_cls.audit.predictors import predictors_of

CLASSES = ["MS", "NMOSD"]


def measured(scans):
    predictors = predictors_of(scans)
    found = measure_confounding(scans, predictors, CLASSES)
    return {one.predictor: one for one in found}, check_confounding(found, predictors, scans)


def people(facts, count, column, value, **more):
    """``count`` subjects, MS and NMOSD in turn; ``value(number)`` fills the column; odd numbers are NMOSD."""
    return [facts(f"c{i}", disease=CLASSES[i % 2], columns={column: value(i), **more}) for i in range(count)]


def test_a_site_for_each_disease_predicts_the_disease(facts):
    found, reported = measured(people(facts, 20, "site", lambda i: "north" if i % 2 else "south"))
    site = found["site"]
    assert (site.auc, site.low, site.high, site.scans) == (1.0, 1.0, 1.0, 20)
    assert site.pure == ("north is all NMOSD (10 scans of 10 subjects)", "south is all MS (10 scans of 10 subjects)")
    assert [(f.severity, f.check) for f in reported] == [("warning", "confounding")]
    assert "AUC 1.00 (1.00 to 1.00)" in reported[0].found


def test_the_area_of_one_pure_site_among_mixed_ones(facts):
    # 40 MS, 10 of them at "isbi", and 40 NMOSD; all others at "north": the 400 pairs with an isbi scan are right and
    # the 1,200 others are ties, so the area is (400 + 600) / 1600, in each fold as in all of them
    scans = [facts(f"m{i}", columns={"site": "isbi" if i < 10 else "north"}) for i in range(40)]
    scans += [facts(f"n{i}", disease="NMOSD", columns={"site": "north"}) for i in range(40)]
    found, reported = measured(scans)
    assert found["site"].auc == pytest.approx(0.625, abs=0.03)
    assert found["site"].low < 0.625 < found["site"].high
    assert found["site"].pure == ("isbi is all MS (10 scans of 10 subjects)",)
    assert [f.severity for f in reported] == ["warning"]


def test_repeated_visits_of_few_subjects_widen_the_interval(facts):
    """The paper's cohort, with 21 scans of five subjects at one site, which are not 21 independent observations."""
    alone = [facts(f"i{i}", columns={"site": "isbi"}) for i in range(21)]
    visits = [facts(f"i{i}", f"i{i % 5}", columns={"site": "isbi"}) for i in range(21)]
    others = [facts(f"m{i}", columns={"site": "north"}) for i in range(48)]
    others += [facts(f"n{i}", disease="NMOSD", columns={"site": "north"}) for i in range(62)]
    one, other = (measured([*group, *others])[0]["site"] for group in (alone, visits))
    assert other.high - other.low > 1.5 * (one.high - one.low)
    assert other.pure == ("isbi is all MS (21 scans of 5 subjects)",)


def test_balanced_sites_sexes_and_ages_predict_nothing(facts):
    rng = np.random.default_rng(0)
    scans = people(
        facts, 120, "site", lambda i: ("north", "south", "east")[i // 2 % 3], sex="F" if rng.random() < 0.5 else "M"
    )
    for number, scan in enumerate(scans):
        scan.columns["age"] = str(20 + number // 2 % 40)
    found, reported = measured(scans)
    assert set(found) == {"site", "age"}  # there is only one sex
    assert all(one.low < 0.5 for one in found.values())
    assert reported == []


def test_age_and_voxel_size_are_numeric_predictors(facts):
    # NMOSD in the middle of the age range and at in-plane sizes between those of MS: not linearly separable
    scans = [
        facts(
            f"c{i}",
            disease=CLASSES[i % 2],
            spacing_mm=(3.0, 0.8 if i % 2 else (0.5, 1.1)[i // 2 % 2], 1.2),
            columns={"age": str(45 + i % 5 if i % 2 else (25 + i % 5, 65 + i % 5)[i // 2 % 2])},
        )
        for i in range(60)
    ]
    found, reported = measured(scans)
    assert found["age"].auc == found["voxel size"].auc == 1.0
    assert {f.expected.split(" alone")[0] for f in reported} == {"that age", "that voxel size"}


def test_visits_of_one_subject_are_in_one_fold(facts):
    """Every subject has its own scanner, which identifies training scans but not unseen subjects."""
    scans = [
        facts(f"p{i}v{v}", f"p{i}", CLASSES[i % 2], columns={"site": f"scanner {i // 2}"})
        for i in range(20)
        for v in range(4)
    ]
    assert measured(scans)[0]["site"].auc <= 0.5


def test_missing_values_are_a_category(facts):
    scans = people(facts, 24, "site", lambda i: "" if i % 2 else "north")
    found, _ = measured(scans)
    assert found["site"].auc == 1.0
    ages = people(facts, 24, "age", lambda i: "" if i % 2 else str(30 + i))
    assert measured(ages)[0]["age"].auc == 1.0
    assert measured(people(facts, 24, "age", lambda _: ""))[0] == {}


@pytest.mark.parametrize("count", [2, 4, 8])
def test_tiny_cohorts_have_no_area(facts, count):
    found, reported = measured(people(facts, count, "scanner", lambda i: f"kind {i % 2}"))
    assert all(math.isnan(one.auc) and "too few" in one.sentence for one in found.values())
    assert reported[-1].severity == "note"
    assert "too few" in reported[-1].found


def test_a_single_class_or_no_disease_is_not_checked(facts):
    for disease in ("MS", None):
        scans = [facts(f"c{i}", disease=disease, columns={"site": f"{i % 2}"}) for i in range(20)]
        assert measured(scans) == ({}, [])


def test_columns_of_names_are_skipped_and_clinical_ones_are_noted(facts):
    scans = people(facts, 20, "patient_code", lambda i: f"P{i}")
    for scan in scans:
        scan.columns["antibody"] = "aqp4" if scan.disease == "NMOSD" else "none"
    found, reported = measured(scans)
    assert set(found) == {"antibody"}
    assert [f.severity for f in reported] == ["note"]


def test_a_textual_voxel_size_is_skipped(facts):
    sizes = ((0.7, 0.7, 3.0), (1.0, 1.0, 1.0))
    scans = [
        facts(
            f"c{i}", disease=CLASSES[i % 2], spacing_mm=sizes[i // 2 % 2], columns={"voxel_size": str(i // 2 % 2) + "x"}
        )
        for i in range(20)
    ]
    assert set(measured(scans)[0]) == {"voxel size"}


def test_three_classes_are_compared_one_against_the_rest(facts):
    names = ["MS", "NMOSD", "MOGAD"]
    scans = [facts(f"c{i}", disease=names[i % 3], columns={"site": f"site {i % 3}"}) for i in range(30)]
    (site,) = measure_confounding(scans, predictors_of(scans), names)
    assert site.auc == 1.0
    assert len(site.pure) == 3
