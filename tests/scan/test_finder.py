"""Finding scan files: recognised and skipped files, and their report."""

import gzip
import json
import os

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import CohortError, ScanError
from joint_seg_cls.scan import read_scan, write_volume
from joint_seg_cls.scan.finder import is_nifti, lines, natural, scan_files, stem, stored_twice
from joint_seg_cls.scan.readers import PatternReader

SCAN = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.fixture
def put(tmp_path):
    def write(name, data=SCAN):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = tmp_path / "plain.nii"
        nib.save(nib.Nifti1Image(data, np.eye(4)), plain)
        content = plain.read_bytes()
        plain.unlink()
        path.write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
        return path

    write.root = tmp_path
    return write


def reported(found):
    return {(remark.what.split(",")[0], remark.about) for remark in found.remarks}


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.NII.GZ", "a.NII", "Müller.nii.gz"])
def test_case_does_not_matter_and_the_file_can_be_read(put, name):
    path = put(name)
    assert is_nifti(name)
    assert scan_files(put.root).names == [name]
    np.testing.assert_array_equal(read_scan(path).data, SCAN)


def test_hidden_files_broken_links_and_other_files_are_skipped(put):
    for name in ("b/p10.nii.gz", "b/p2.nii", "b/._p2.nii", "b/.partial-17-p3.nii.gz", ".git/p4.nii.gz"):
        put(name)
    (put.root / "b" / "gone.nii.gz").symlink_to(put.root / "nowhere.nii.gz")
    (put.root / "b" / "notes.txt").touch()
    (put.root / "b" / "folder.nii.gz").mkdir()
    os.mkfifo(put.root / "b" / "pipe.nii.gz")
    with pytest.raises(ScanError, match=r"found a pipe or device; correct the path"):
        read_scan(put.root / "b" / "pipe.nii.gz")
    found = scan_files(put.root)
    assert found.names == ["b/p2.nii", "b/p10.nii.gz"]
    assert found.missing == ["b/gone.nii.gz"]
    assert reported(found) == {
        ("hidden NIfTI files", "b/._p2.nii"),
        ("hidden NIfTI files", "b/.partial-17-p3.nii.gz"),
        ("broken links (fetch the files first)", "b/gone.nii.gz"),
        ("pipes and devices", "b/pipe.nii.gz"),
    }
    assert next(iter(lines(found.remarks))) == "hidden NIfTI files, skipped (2): b/._p2.nii, b/.partial-17-p3.nii.gz"
    assert scan_files(put.root, below=False).names == []


def test_a_name_that_is_not_utf_8_is_skipped_and_reported(put):
    try:
        put("M\udcfcller.nii.gz")
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    found = scan_files(put.root)
    assert (found.names, len(found.remarks)) == ([], 1)
    "".join(lines(found.remarks)).encode()


def record_of(name):
    return json.dumps({"id": name, "scan": f"{name}.nii.gz", "brain_volume_ml": 1.0, "warnings": []})


def test_outputs_of_predict_are_recognised_by_record_or_header(put):
    scan = read_scan(put("p1.nii.gz"))
    for end in ("lesions", "lesion-probability", "location-map"):
        put(f"p1_{end}.nii.gz")
    (put.root / "p1.json").write_text(record_of("p1"))
    write_volume(put.root / "p2_lesions.nii.gz", SCAN.astype(np.uint8), scan)  # killed before its record was written
    put("mine_lesions.nii.gz")
    (put.root / "mine.json").write_text(json.dumps({"Manufacturer": "GE"}))
    put("other_lesions.nii.gz")
    (put.root / "other.json").write_text(record_of("p1"))
    found = scan_files(put.root)
    assert found.names == ["mine_lesions.nii.gz", "other_lesions.nii.gz", "p1.nii.gz"]
    assert {about for _, about in reported(found)} == {
        "p1_lesions.nii.gz", "p1_lesion-probability.nii.gz", "p1_location-map.nii.gz", "p2_lesions.nii.gz",
    }  # fmt: skip


def test_readers_skip_outputs_of_predict(put):
    put("p1.nii.gz")
    put("findings/p1_lesions.nii.gz")
    (put.root / "findings" / "p1.json").write_text(record_of("p1"))
    found = PatternReader("**/{subject}.nii.gz").read(put.root, put.root / "c.tsv")
    assert [scan.subject for scan in found.scans] == ["p1"]
    assert "outputs of jsc predict, skipped" in {remark.what for remark in found.remarks}


def test_a_scan_stored_as_nii_and_nii_gz_is_recognised_by_its_content(put):
    for name, data in (("a.nii", SCAN), ("a.nii.gz", SCAN), ("b.nii", SCAN), ("b.nii.gz", SCAN + 1)):
        put(name, data)
    assert stored_twice(put.root, scan_files(put.root).names) == {"a.nii.gz": "a.nii"}


def test_names_sort_by_their_numbers():
    assert sorted(["p10", "P2", "p1²", "p٣"], key=natural) == ["p1²", "P2", "p10", "p٣"]
    assert stem("a.b.NII.gz") == "a.b"


@pytest.mark.parametrize("place", ["nowhere", "x" * 5000])
def test_a_missing_folder_is_one_sentence(tmp_path, place):
    with pytest.raises(CohortError, match="expected a folder of scans") as error:
        scan_files(tmp_path / place, remedy="correct input=")
    assert len(str(error.value)) < 700


def test_links_that_lead_back_are_followed_once(put):
    for name in ("a/one.nii.gz", "b/two.nii.gz", "c/three.nii.gz"):
        put(name)
    for here, there in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "a"), ("c", "..")):
        (put.root / here / f"to_{there.strip('.')}").symlink_to(put.root / there)
    names = scan_files(put.root).names
    assert len(names) == 9  # each folder by itself and behind the two others
    assert names[:3] == ["a/one.nii.gz", "a/to_b/to_c/three.nii.gz", "a/to_b/two.nii.gz"]
