"""Weights trained on test scans: refused as initial weights, and reported in tests and in the checklist."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.data import Split
from joint_seg_cls.report import ReportRun
from joint_seg_cls.report.circumstances import contaminated, initial_weights, unseen
from joint_seg_cls.scan import PreparedStore
from joint_seg_cls.training import Recipe, known_marks, overlap, read_checkpoint, trained_marks


@pytest.fixture
def cases(store):
    """Eight scans of four subjects: s0 and s1 are of one, s2 and s3 of the next."""
    return [replace(case, subject=f"p{number // 2}") for number, case in enumerate(PreparedStore(store).cases)]


def test_a_scan_and_other_scans_of_its_subject_are_distinguished(cases):
    trained = trained_marks(cases, Split(("s0", "s4"), ("s5",), ()))
    found = overlap(trained, cases, ["s0", "s1", "s2"])
    assert (found.scans, found.by_subject) == (("s0",), ("s1",))
    assert found.of(3) == "1 of its 3 scans (s0) and on other scans of the subjects of 1 more (s1)"
    assert not overlap(trained, cases, ["s2", "s6"])
    assert not overlap(trained, cases, ["s1"], own=["s0"])  # the split itself has this subject on both sides


def test_marks_reveal_no_name_and_match_an_image_with_other_settings(cases):
    image = {"image_hash": "abc"}
    trained = trained_marks([replace(cases[0], provenance=image)], Split(("s0",), (), ()))
    assert trained is not None
    assert not any(cases[0].subject in mark or cases[0].case in mark for mark in trained)
    again = replace(cases[0], case="other", key="of other settings", provenance=image)
    assert overlap(trained, [again], ["other"]).scans == ("other",)


def test_the_marks_of_an_older_checkpoint_follow_from_its_fold(cases):
    facts = {"data_hash": "d", "folds_hash": "f"}
    folds = {0: Split(("s0",), (), ("s1",))}

    def recipe(**trained_on):
        return Recipe({}, {}, 1, ("MS", "NMOSD"), ("flair",), (16, 16, 16), 0.5, "joint", facts | trained_on)

    assert known_marks(recipe(fold=0), cases, folds, facts) == trained_marks(cases, folds[0])
    assert known_marks(recipe(fold=0), cases, folds, facts | {"folds_hash": "g"}) is None
    assert known_marks(recipe(fold=0, init_hash="x"), cases, folds, facts) is None
    assert trained_marks(cases, folds[0], None) is None


def test_fine_tuning_on_tested_scans_is_refused_unless_accepted_and_then_reported(train, jsc, store):
    first = train(epochs=1)
    words = (f"init_from={first}", "fold=1")
    train(*words, epochs=1, runs="second", code=2)
    assert "init_from: expected weights trained on no scan and no subject of test fold 1" in train.err
    assert train.err.count("error:") == 1
    assert "add accept=[trained_on_test]" in train.err
    second = train(*words, "accept=[trained_on_test]", epochs=1, runs="second")
    assert "the test is biased upwards" in train.err
    record = json.loads((second / "provenance.json").read_text())["started_from"]
    assert record["is_known"]
    assert record["trained_on_test"]["scans"] > 0
    run = ReportRun(second, "joint", "ours", 1, 0)
    assert "were trained on" in initial_weights(run)
    assert "its test is biased upwards" in unseen([run])
    assert contaminated([run])

    same = train(f"init_from={first}", epochs=1, runs="third")  # its own fold
    run = ReportRun(same, "joint", "ours", 0, 0)
    assert "which were trained on no scan of the test fold" in unseen([run])
    assert not contaminated([run])

    kept = set(read_checkpoint(second).recipe.trained_scans)
    assert kept > set(read_checkpoint(first).recipe.trained_scans)  # the chain: both folds' scans
    train(f"init_from={second}", epochs=1, runs="fourth", code=2)
    code, _, err = jsc("evaluate", f"run={second}")
    assert code == 0, err
    assert "this run was trained on" in err


def test_training_scans_in_a_cohort_are_found_by_scan_and_subject(tmp_path, caplog):
    from omegaconf import OmegaConf

    from joint_seg_cls.commands.evaluate import _warn_of_trained
    from joint_seg_cls.preprocess import case_key, image_hash
    from joint_seg_cls.scan import CohortCase
    from joint_seg_cls.training import Checkpoint, RunFolder, marks

    rows = []
    for case, subject in (("a1", "a"), ("a2", "a"), ("b", "b")):
        (tmp_path / case).write_text(case)
        rows.append(CohortCase(case, subject, None, (tmp_path / case,), None, (), None, {}))
    settings = {"of": "preprocessing"}
    trained = sorted(marks("another key", image_hash(tmp_path / "a1")))  # prepared with other settings
    assert not marks(case_key(rows[1], settings), image_hash(tmp_path / "a2")) & set(trained)
    recipe = Recipe({}, settings, 1, ("MS", "NMOSD"), ("flair",), (16, 16, 16), 0.5, "joint", {}, tuple(trained))
    checkpoint = Checkpoint(tmp_path, recipe, {}, 0)
    config = OmegaConf.create({"cohort": "new.tsv"})
    _warn_of_trained(config, RunFolder(tmp_path), rows, checkpoint)
    assert "trained on 1 of its 3 scans (a1) and on other scans of the subjects of 1 more (a2)" in caplog.text
    caplog.clear()
    _warn_of_trained(config, RunFolder(tmp_path), rows[2:], checkpoint)
    assert not caplog.text


def test_a_trained_scan_is_found_where_its_file_was_saved_anew(tmp_path):
    from joint_seg_cls.commands.evaluate import _marks_of_row
    from joint_seg_cls.preprocess import voxel_hash
    from joint_seg_cls.scan import CohortCase, read_scan
    from joint_seg_cls.training import marks

    data = np.random.default_rng(0).integers(0, 900, (5, 6, 7))
    files = {"first.nii.gz": (data, np.int16), "again.nii": (data, np.float32), "other.nii.gz": (data + 1, np.int16)}
    for name, (values, kind) in files.items():
        nib.save(nib.Nifti1Image(values.astype(kind), np.diag([-1.0, -1, 2, 1])), tmp_path / name)
    trained = marks("key", "hash of the file", voxel_hash(read_scan(tmp_path / "first.nii.gz").data))
    rows = [CohortCase(name, name, None, (tmp_path / name,), None, (), None, {}) for name in files]
    assert [bool(_marks_of_row(row, {}) & trained) for row in rows] == [True, True, False]
