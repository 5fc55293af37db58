"""Frozen folds: held-out cases, leave-one-site-out, the file that stores them, and a store that changes."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joint_seg_cls.data import HELD_OUT, Folds, JointDataModule, LeaveOneOut, freeze, frozen_files, read_frozen
from joint_seg_cls.data.split import folds_hash
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import Geometry, Grid, PreparedCase, PreparedStore

GRID = Grid((16, 16, 16), np.diag([-1.2, 1.1, 0.9, 1.0]))
PARTS = ("train", "validation", "test")


def record(name, subject, disease, **columns):
    return PreparedCase(Path("cohort") / name, name, subject, None, disease, False, "0", Geometry(GRID, GRID), columns)


@st.composite
def cohorts(draw):
    """People with one to four visits, each visit at one of three sites, usually the same."""
    cases = []
    for disease in ("MS", "NMOSD"):
        for number in range(draw(st.integers(6, 14))):
            home = draw(st.sampled_from(["north", "south", "east"]))
            for visit in range(draw(st.integers(1, 4))):
                site = draw(st.sampled_from([home, home, home, "south"]))
                cases.append(record(f"{disease}{number:02}_{visit}", f"{disease}{number:02}", disease, site=site))
    return cases


def sides(split):
    return [set(getattr(split, part)) for part in PARTS]


@given(cohorts(), st.sampled_from([0.1, 0.2, 0.4]), st.sampled_from(["strict", "random"]), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_held_out_cases_are_only_in_their_fold(cases, share, kind, seed):
    splits = Folds(kind, 3, seed, held_out=share).splits(cases, 0.2)
    held_out = set(splits[HELD_OUT].test)
    subject = {case.case: case.subject for case in cases}
    assert held_out
    for fold in range(3):
        assert not held_out & set.union(*sides(splits[fold]))
        assert set.union(*sides(splits[fold])) == set(subject) - held_out
    tested = [name for fold in range(3) for name in splits[fold].test]
    assert sorted(tested) == sorted(set(subject) - held_out)
    own = splits[HELD_OUT]
    assert set.union(*sides(own)) == set(subject)
    people = [{subject[name] for name in part} for part in sides(own)]
    assert not people[2] & (people[0] | people[1])
    for disease in ("MS", "NMOSD"):
        everyone = {case.subject for case in cases if case.disease == disease}
        assert len(everyone & people[2]) == max(1, round(share * len(everyone)))


@given(cohorts(), st.sampled_from([0.0, 0.2]))
@settings(deadline=None, max_examples=40)
def test_each_site_is_tested_on_subjects_that_were_not_trained_on(cases, fraction):
    if len({case.columns["site"] for case in cases}) < 2:
        return
    splits = LeaveOneOut().splits(cases, fraction)
    sites = sorted({case.columns["site"] for case in cases})
    subject = {case.case: case.subject for case in cases}
    assert list(splits) == list(range(len(sites)))
    for fold, site in enumerate(sites):
        train, validation, test = sides(splits[fold])
        assert test == {case.case for case in cases if case.columns["site"] == site}
        tested = {subject[name] for name in test}
        assert train | validation == {case.case for case in cases if case.subject not in tested}
        assert not {subject[name] for name in train} & {subject[name] for name in validation}


@given(cohorts(), st.randoms())
@settings(deadline=None, max_examples=20)
def test_the_order_of_the_cases_changes_nothing(cases, random):
    makers = [Folds("strict", 3, held_out=0.2), LeaveOneOut(held_out={"site": "south"})]
    if {"north", "south", "east"} != {case.columns["site"] for case in cases}:
        return
    before = [maker.splits(cases, 0.2) for maker in makers]
    random.shuffle(cases)
    assert [maker.splits(cases, 0.2) for maker in makers] == before


def test_holding_out_a_column_value_takes_all_its_cases():
    cases = [record(f"c{i}", f"s{i}", ("MS", "NMOSD")[i % 2], site=f"site {i % 3}") for i in range(24)]
    for wanted, count in (({"site": "site 1"}, 8), ({"site": ["site 0", "site 2"]}, 16)):
        splits = Folds("strict", 2, held_out=wanted).splits(cases, 0.0)
        assert len(splits[HELD_OUT].test) == count
        assert len(splits[0].train) + len(splits[0].test) == 24 - count


def test_a_subject_held_out_at_one_site_is_not_trained_on_at_another():
    cases = [record(f"c{i}", f"s{i}", ("MS", "NMOSD")[i % 2], site="a") for i in range(12)]
    cases.append(record("travels", "s0", "MS", site="b"))
    split = Folds("strict", 2, held_out={"site": "b"}).splits(cases, 0.0)[HELD_OUT]
    assert split.test == ("travels",)
    assert "c0" not in split.train
    assert len(split.train) == 11


@pytest.mark.parametrize(
    ("maker", "words"),
    [
        (Folds(held_out=1.5), "a share between 0 and 1, found data.folds.held_out=1.5"),
        (Folds(held_out={"site": "west"}), "the cohort has a, b"),
        (Folds(held_out={"site": "a", "sex": "F"}), "one column and its value"),
        (Folds(held_out={"site": ["a", "b"]}), "cases left to train on"),
        (LeaveOneOut("scanner"), "a value of scanner for every case, found 20 of 20 without (c0, c1, c10, c11, c12)"),
        (LeaveOneOut("field"), "at least two values of field, found 3"),
    ],
)
def test_impossible_folds_are_refused(maker, words):
    cases = [record(f"c{i}", f"s{i}", ("MS", "NMOSD")[i % 2], site="ab"[i % 2], field="3") for i in range(20)]
    with pytest.raises(SplitError, match=re.escape(words)):
        maker.splits(cases, 0.2)


def test_missing_held_out_cases_are_refused_with_the_key():
    cases = [record(f"c{i}", f"s{i}", "MS") for i in range(20)]
    with pytest.raises(SplitError, match=r"fold=held_out; set data\.folds\.held_out=0\.2"):
        Folds().split(cases, HELD_OUT, 0.2)
    with pytest.raises(SplitError, match=r"from 0 to 4 or held_out, found fold=7"):
        Folds(held_out=0.2).split(cases, 7, 0.2)


@pytest.mark.parametrize(
    ("maker", "fraction", "name"),
    [
        (Folds(), 0.2, "strict-5_seed-0_validation-0.2"),
        (Folds("random", 3, 7), 0.0, "random-3_seed-7"),
        (Folds(held_out=0.25), 0.2, "strict-5_seed-0_held-out-0.25_validation-0.2"),
        (Folds(held_out={"site": "north"}), 0, "strict-5_seed-0_held-out-site-north"),
        (LeaveOneOut("site"), 0.2, "leave-one-site-out_seed-0_validation-0.2"),
    ],
)
def test_names_are_readable(maker, fraction, name):
    assert maker.name(fraction) == name


def test_unusual_names_become_safe_and_distinct():
    names = {Folds(held_out={"site": value}).name(0) for value in ("a/b", "a:b", "a b", "x" * 200, "x" * 201)}
    assert len(names) == 5
    assert all(re.fullmatch(r"[\w.-]{1,80}", name) for name in names)


def test_the_folds_are_written_once_and_then_read(store):
    folds = Folds("strict", 3)
    first = freeze(store, folds, 0.2)
    assert first.path == store.path / "splits" / "strict-3_seed-0_validation-0.2.json"
    content = json.loads(first.path.read_text())
    assert set(content) == {"format", "made_with", "settings", "data_hash", "hash", "cases", "folds"}
    assert content["hash"] == first.hash == folds_hash(folds.splits(store.cases, 0.2))
    assert content["folds"]["1"]["test"] == list(first.splits[1].test)
    assert content["cases"]["m3"] == ["m3", "MS"]
    stamp = first.path.stat().st_mtime_ns
    again = freeze(PreparedStore(store.path), folds, 0.2)
    assert (again.hash, again.splits, first.path.stat().st_mtime_ns) == (first.hash, first.splits, stamp)
    assert [path.name for path in first.path.parent.iterdir()] == [first.path.name]
    assert frozen_files(store) == [first.path]


def test_frozen_folds_are_used_even_if_new_ones_would_differ(store, monkeypatch):
    before = freeze(store, Folds("strict", 3), 0.2)
    monkeypatch.setattr(Folds, "splits", None)  # asking would fail
    data = JointDataModule(store.path, fold=1, folds=Folds("strict", 3), validation_fraction=0.2, workers=0)
    data.setup()
    assert data.split == before.splits[1]
    assert (data.folds_hash, data.split_hash) == (before.hash, before.splits[1].split_hash)


@pytest.fixture
def change(edit_case):
    def changed(store, name, **changes):
        edit_case(store.path / name, **changes)
        return PreparedStore(store.path)

    return changed


def test_a_store_with_other_cases_is_refused_and_gets_no_new_folds(store, change):
    frozen = freeze(store, Folds("strict", 3), 0.2)
    with pytest.raises(SplitError, match=r"1 with another subject or disease \(m4\)") as error:
        freeze(change(store, "m4", disease="NMOSD"), Folds("strict", 3), 0.2)
    assert "delete the file to generate new folds" in str(error.value)
    record = json.loads((store.path / "store.json").read_text())
    record["cases"] = [name for name in record["cases"] if name not in ("n1", "n2")]
    (store.path / "store.json").write_text(json.dumps(record))
    with pytest.raises(SplitError, match=r"2 fewer \(n1, n2\), 1 with another"):
        freeze(PreparedStore(store.path), Folds("strict", 3), 0.2)
    assert read_text_hash(frozen.path) == frozen.hash


def read_text_hash(path):
    return json.loads(path.read_text())["hash"]


def test_other_content_of_the_same_cases_keeps_the_folds(store, change, caplog):
    frozen = freeze(store, Folds("strict", 3), 0.2)
    with caplog.at_level("INFO"):
        again = freeze(change(store, "m4", key="another mask"), Folds("strict", 3), 0.2)
    assert again.splits == frozen.splits
    assert "the folds are unchanged" in caplog.text


def test_an_edited_or_damaged_file_is_refused(store):
    path = freeze(store, Folds("strict", 3), 0.2).path
    content = json.loads(path.read_text())
    content["folds"]["0"]["train"].append(content["folds"]["0"]["test"].pop())
    path.write_text(json.dumps(content))
    with pytest.raises(SplitError, match="the file was edited"):
        freeze(store, Folds("strict", 3), 0.2)
    path.write_text("{")
    with pytest.raises(SplitError, match="an unreadable file"):
        read_frozen(path, store)


def test_a_file_with_the_same_name_and_other_settings_is_refused(store):
    path = freeze(store, Folds("strict", 3), 0.2).path
    path.rename(path.with_name(f"{Folds('strict', 4).name(0.2)}.json"))
    with pytest.raises(SplitError, match="folds made with"):
        freeze(store, Folds("strict", 4), 0.2)


def test_folds_frozen_by_another_process_are_kept(store, monkeypatch):
    path = store.path / "splits" / f"{Folds('strict', 3).name(0.2)}.json"
    link = os.link

    def late(source, target):
        Path(target).write_text(Path(source).read_text().replace('"made_with": "', '"made_with": "the other '))
        link(source, target)  # raises: it is there

    monkeypatch.setattr(os, "link", late)
    freeze(store, Folds("strict", 3), 0.2)
    assert "the other " in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_folds_of_a_read_only_store_are_kept_in_memory(store, monkeypatch, caplog):
    def closed(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", closed)
    frozen = freeze(store, Folds("strict", 3), 0.2)
    assert frozen.path is None
    assert frozen.hash == folds_hash(Folds("strict", 3).splits(store.cases, 0.2))
    assert "each run generates the folds again" in caplog.text
