"""Duplicate scans, subjects at two sites, and missing or contradictory labels."""

import gzip

import numpy as np
import pytest
from scipy import ndimage

from joint_seg_cls.audit.duplicates import check_duplicates
from joint_seg_cls.audit.labels import check_labels, check_people, check_sizes
from joint_seg_cls.audit.signature import alike, content_hash, groups, signature


def test_the_same_scan_under_two_ids_is_an_error_in_any_file_format(audit, of, tmp_path):
    def copy_of_0(files):
        path = files.folder / files.row["flair"]
        source = files.folder / "s0_flair.nii.gz"
        path.write_bytes(gzip.compress(gzip.decompress(source.read_bytes()), compresslevel=1))

    def copy_of_1_turned_and_moved(files):
        import nibabel as nib

        source = nib.load(files.folder / "s1_flair.nii.gz")
        data = np.asarray(source.dataobj).astype(np.float64)[::-1]
        affine = source.affine @ np.array([[-1, 0, 0, data.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
        files.put("flair", data, affine)

    found = of(audit(6, {2: copy_of_0, 5: copy_of_1_turned_and_moved}), "duplicates")
    assert [(f.severity, f.cases) for f in found] == [("error", ("s0", "s2")), ("error", ("s1", "s5"))]
    assert found[0].found == "the same voxels in s0 and s2, under 2 subjects"


def test_duplicates_of_one_subject_are_a_warning_and_of_two_diseases_an_error(facts):
    scans = [
        facts("a1", "a", contents=("x",)),
        facts("a2", "a", contents=("y", "x")),
        facts("b1", "b", "MS", contents=("z",)),
        facts("b2", "b", "NMOSD", contents=("z",)),
        facts("c", contents=("w",)),
    ]
    first, second = check_duplicates(scans)
    assert (first.severity, first.cases) == ("warning", ("a1", "a2"))
    assert (second.severity, second.cases) == ("error", ("b1", "b2"))
    assert "2 diseases (MS, NMOSD)" in second.found


def test_a_filtered_copy_under_another_subject_is_a_warning(audit, of, made_up_head):
    def copy_of_0(files):
        scan = made_up_head(0)[0].astype(np.float32)
        noise = np.random.default_rng(9).normal(0, 2, scan.shape)
        files.put("flair", np.where(scan > 0, 1.7 * scan + noise, 0).astype(np.float32))

    (reported,) = of(audit(4, {3: copy_of_0}), "duplicates")
    assert (reported.severity, reported.cases) == ("warning", ("s0", "s3"))
    assert "as similar as one resampled scan or two of one person" in reported.found


def test_signatures_correlate_for_a_brighter_copy_and_not_for_other_heads():
    rng = np.random.default_rng(0)
    one, other = (ndimage.gaussian_filter(rng.normal(size=(40, 44, 42)), 2) for _ in range(2))
    head = np.ones(one.shape, bool)
    vectors = [signature(image, head) for image in (one, other, 3 * one + 100)]
    assert alike(vectors, 0.85) == [(0, 2, pytest.approx(1, abs=1e-4))]
    assert signature(one, np.zeros_like(head)) is None
    assert signature(np.zeros_like(one), head) is None
    assert alike([None, vectors[0], None], 0.85) == []


def test_hashes_depend_only_on_values_and_shape():
    array = np.arange(24.0).reshape(2, 3, 4)
    assert content_hash(array) == content_hash(np.asfortranarray(array).astype(np.int16))
    assert len({content_hash(array), content_hash(array.reshape(3, 2, 4)), content_hash(array + 1)}) == 3


def test_groups_are_transitive():
    assert groups([("a",), ("b",), ("a", "c"), ("d",), ("c", "e"), ("b",)]) == [[0, 2, 4], [1, 5]]


def test_subjects_at_two_sites_with_two_sexes_or_impossible_ages(facts):
    scans = [
        facts("a1", "a", columns={"site": "north", "sex": "F", "age": "30"}),
        facts("a2", "a", columns={"site": "south", "sex": "F", "age": "34"}),
        facts("b1", "b", columns={"site": "north", "sex": "F", "age": "30"}),
        facts("b2", "b", columns={"site": "north", "sex": "male", "age": ""}),
        facts("c1", "c", columns={"site": "north", "sex": "M", "age": "21"}),
        facts("c2", "c", columns={"sex": "m", "age": "70"}),
        facts("d", columns={"age": "-1"}),
    ]
    reported = check_people(scans)
    assert [(f.severity, f.found) for f in reported] == [
        ("warning", "a with north and south"),
        ("warning", "b with F and M"),
        ("warning", "c at the ages 21 and 70"),
        ("warning", "ages of -1"),
    ]
    assert check_people([facts("a"), facts("b")]) == []


def test_missing_labels_are_counted(facts):
    scans = [facts(f"m{i}", has_reference=True, lesion_count=int(i > 0)) for i in range(6)]
    scans += [facts(f"n{i}", disease="NMOSD") for i in range(5)]
    scans += [facts("u", disease=None, has_reference=True, lesion_count=3), facts("v", disease=None)]
    reported = {(f.severity, f.expected): (f.found, len(f.cases)) for f in check_labels(scans)}
    assert reported == {
        ("note", "a disease for every scan"): ("2 of 13 scans without a disease", 2),
        ("note", "a lesion mask for every scan"): ("6 of 13 scans without a lesion mask", 6),
        ("warning", "a disease or a lesion mask for every scan"): (
            "1 of 13 scans without a disease or a lesion mask",
            1,
        ),
        ("note", "lesions in each mask"): ("1 of 7 masks are empty", 1),
    }


def test_small_classes_and_subjects_of_two_classes_are_reported(facts):
    scans = [facts(f"m{i}", f"m{i % 5}") for i in range(9)] + [facts(f"n{i}", f"m{i}", "NMOSD") for i in range(2)]
    scans.append(facts("x", has_reference=True))
    reported = check_labels(scans)
    few = [(f.expected, f.remedy) for f in check_sizes(scans, ["MS", "NMOSD", "MOGAD"], 6)]
    assert few == [
        ("at least 6 subjects of NMOSD", "collect more, or use data.folds.count=2"),
        ("at least 6 subjects of MOGAD", "collect more"),
    ]
    assert [f.found for f in check_sizes(scans, ["MS", "NMOSD"], 3)] == ["2 subjects of NMOSD for 3 folds"]
    assert check_sizes(scans, ["MS", "NMOSD"], 2) == []
    assert [f.found for f in reported if f.severity == "error"] == ["m0 with MS and NMOSD", "m1 with MS and NMOSD"]
