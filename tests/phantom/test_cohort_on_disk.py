"""A simulated cohort on disk: readable like a real one, and reproducible to the byte."""

import os
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from joint_seg_cls.atomic_write import partial_path
from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan import read_cohort, read_mask, read_scan

CONNECTED = np.ones((3, 3, 3))


def test_a_subject_is_the_same_bytes_in_a_larger_cohort_and_with_other_workers(preset, write, digests, tmp_path):
    small = write(preset("matched", "subjects=2", "seed=9"), tmp_path / "small").parent
    large = write(preset("matched", "subjects=3", "seed=9"), tmp_path / "large", workers=2).parent
    few, many = digests(small), digests(large)
    scans = [name for name in few if name.startswith("sub-")]
    assert len(scans) == 2 * 3
    assert all(few[name] == many[name] for name in scans)
    rows = [(folder / "cohort.tsv").read_text().splitlines() for folder in (small, large)]
    assert rows[0] == rows[1][:3]


def test_another_seed_gives_other_scans(preset, write, digests, tmp_path):
    one, other = (write(preset("clear", "subjects=1", f"seed={s}"), tmp_path / str(s)).parent for s in (1, 2))
    first, second = digests(one), digests(other)
    assert all(first[name] != second[name] for name in first if name.startswith("sub-"))


def test_continuing_keeps_finished_subjects_and_equals_one_run(preset, write, digests, visits_table, tmp_path):
    whole = visits_table.parent
    begun = tmp_path / "begun"
    shutil.copytree(whole, begun)
    shutil.rmtree(begun / "sub-002")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = partial_path(begun / "sub-002").name.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    (begun / left).mkdir()
    kept = begun / "sub-001" / "ses-01" / "sub-001_ses-01_flair.nii.gz"
    before = kept.stat().st_mtime_ns
    write(preset("clear", "subjects=3", "visits=2", "seed=4"), begun, raters=2)
    assert kept.stat().st_mtime_ns == before
    assert digests(begun) == digests(whole)


def test_more_raters_and_visits_keep_existing_scans(preset, write, digests, visits_table, tmp_path):
    plain = write(preset("clear", "subjects=1", "seed=4"), tmp_path / "plain").parent
    rich = digests(visits_table.parent)
    assert all(rich[name] == digest for name, digest in digests(plain).items() if name.startswith("sub-"))


def test_the_table_is_a_valid_cohort_table(visits_table):
    cases = read_cohort(visits_table)
    assert [case.case for case in cases[:3]] == ["sub-001_ses-01", "sub-001_ses-02", "sub-002_ses-01"]
    assert {case.disease for case in cases[:4]} == {"MS", "NMOSD"}
    assert all(len(case.lesion_masks) == 2 and case.brain_mask is not None for case in cases)
    assert all(case.columns["skull_stripped"] == "true" for case in cases)
    table = pd.read_csv(visits_table, sep="\t", dtype=str)
    words = " ".join(table.to_csv(index=False).lower().split())
    assert not any(word in words for word in ("simul", "phantom", "seed", "atypical", "oracle"))
    assert {"site", "age", "sex", "scanner", "voxel_size_mm"} <= set(table.columns)
    assert table.groupby("subject")[["site", "sex", "disease"]].nunique().to_numpy().max() == 1


def test_scans_are_integers_without_skull_on_an_oblique_grid(visits_table):
    for case in read_cohort(visits_table):
        scan = read_scan(case.images[0])
        assert case.brain_mask is not None
        brain = read_mask(case.brain_mask, scan.grid)
        lesions = read_mask(case.lesion_masks[0], scan.grid)
        assert nib.load(case.images[0]).get_data_dtype() == np.int16
        np.testing.assert_array_equal(scan.data > 0, brain)
        assert not (lesions & ~brain).any()
        directions = scan.grid.affine[:3, :3] / np.array(scan.grid.spacing_mm)
        assert np.abs(directions).max() < 1 - 1e-6
        np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)
        assert 0.9e3 < brain.sum() * scan.grid.voxel_ml < 2.3e3
        border = np.concatenate([brain.take([0, -1], axis).ravel() for axis in range(3)])
        assert not border.any()
        assert ndimage.label(brain, CONNECTED)[1] < 20
        header = nib.load(case.images[0]).header
        np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)


def test_visits_share_the_anatomy_but_not_position_noise_and_load(visits_table):
    cases = read_cohort(visits_table)
    for first, second in zip(cases[::2], cases[1::2], strict=True):
        scans = [read_scan(case.images[0]) for case in (first, second)]
        assert scans[0].grid.distance_mm(scans[1].grid) > 1
        volumes = [
            read_mask(case.lesion_masks[0], scan.grid).sum() * scan.grid.voxel_ml
            for case, scan in zip((first, second), scans, strict=True)
        ]
        assert 0.7 < volumes[1] / volumes[0] < 2.0
        assert volumes[0] != volumes[1]


def test_another_rater_agrees_well_but_not_fully_and_misses_small_lesions(visits_table):
    dice, found, sizes = [], [], []
    for case in read_cohort(visits_table):
        scan = read_scan(case.images[0])
        first, second = (read_mask(mask, scan.grid) for mask in case.lesion_masks)
        dice.append(2 * (first & second).sum() / (first.sum() + second.sum()))
        labels, count = ndimage.label(first, CONNECTED)
        hit = np.unique(labels[second & first])
        found += [label in hit for label in range(1, count + 1)]
        sizes += list(np.bincount(labels.ravel())[1:] * scan.grid.voxel_ml * 1000)
    assert 0.55 < np.mean(dice) < 0.97
    missed = np.array(sizes)[~np.array(found)]
    assert missed.size > 3
    assert np.median(missed) < np.median(sizes)


@pytest.mark.parametrize(
    ("content", "output"), [("notes.txt", "notes.txt"), ("simulation.json", "differs in")], ids=["foreign", "other"]
)
def test_a_folder_with_other_content_is_refused_and_unchanged(preset, write, tmp_path, content, output):
    (tmp_path / content).write_text('{"seed": 1}')
    with pytest.raises(CohortError, match=output):
        write(preset("clear", "subjects=1"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [content]


def test_the_readme_of_the_cohort_describes_its_simulation(visits_table):
    page = (visits_table.parent / "README.txt").read_text()
    assert "Simulated" in page
    assert "jsc phantom" in page
    assert "seed 4" in page
