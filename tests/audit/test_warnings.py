"""Warnings are plain sentences, similar ones are counted, and those of one scan are in the prediction's record."""

import gzip

import nibabel as nib
import numpy as np

from joint_seg_cls.audit import audit_folds, audit_store, check_scan
from joint_seg_cls.audit.finding import Finding, counted
from joint_seg_cls.data import Folds
from joint_seg_cls.scan import PreparedStore, read_scan


def finding(case, found, severity="warning", remedy="look at it"):
    return Finding(severity, "orientations", "a regular header", found, remedy, (case,), f"{case}.nii.gz")


def test_a_warning_is_a_plain_sentence_and_an_error_keeps_its_four_fields():
    warning, error = finding("a", "left and right are uncertain"), finding("a", "no file", "error")
    assert warning.sentence == "orientations: a, a.nii.gz: left and right are uncertain; look at it."
    assert error.sentence == "orientations: a, a.nii.gz: expected a regular header, found no file; look at it."


def test_more_than_three_similar_warnings_are_summarised():
    many = [finding(f"s{number}", f"corners {number} mm apart") for number in range(6)]
    errors = [finding(f"e{number}", "no file", "error") for number in range(5)]
    few = [finding(f"f{number}", "thick", remedy="other") for number in range(3)]
    reported = counted([*many, *errors, *few])
    assert len(reported) == 1 + 5 + 3
    assert reported[0].cases == tuple(f"s{number}" for number in range(6))
    assert reported[0].sentence == (
        "orientations: s0, s1, s2, s3, s4 and 1 more: corners 0 mm apart (in s0; 5 more like it); look at it."
    )


def test_the_audit_of_a_store_summarises_warnings_of_preparation(make_store, edit_case, tmp_path):
    folder = make_store(tmp_path / "store", subjects=12)
    for number in range(12):
        lesions = {"native_count": 9, "erased": 3, "cropped": 0, "erased_ml": 0.1, "native_ml": 2.0}
        warnings = [f"slices of {4 + number}.5 mm are thicker than small lesions"]
        edit_case(folder / f"s{number}", provenance={"warnings": warnings, "lesions": lesions})
    found = audit_store(PreparedStore(folder))
    assert [one.sentence for one in found.of("warning")] == [
        "preparation: s0, s1, s10, s11, s2 and 7 more: slices of 4.5 mm are thicker than small lesions (in s0; 11 more "
        "like it); check the picture and quality measures of this case."
    ]
    (note,) = [one for one in found.of("note") if one.check == "preparation"]
    assert "12 of 12 scans with a reference lose lesions at 16 x 16 x 16 (36 of 108 lesions)" in note.sentence
    assert not any("expected" in one.sentence for severity in ("warning", "note") for one in found.of(severity))


def test_class_sizes_are_compared_with_the_number_of_folds(make_store, tmp_path):
    store = PreparedStore(make_store(tmp_path / "store", subjects=6))
    base, splits = audit_store(store), Folds("random", 3).splits(store.cases, 0)
    for count, warned in ((2, 0), (3, 0), (4, 2)):
        folds = Folds("random", count)
        reported = audit_folds(base, store, splits, folds, name="it").findings
        few = [one.sentence for one in reported if one.check == "labels" and "folds" in one.found]
        assert len(few) == warned
        assert all("data.folds.count=3" in one for one in few)


def test_the_audit_of_a_single_scan(tmp_path):
    data = np.random.default_rng(0).normal(100, 5, (60, 70, 50)).astype(np.float32)
    brain = np.ones(data.shape, bool)

    def found(codes, change=None):
        image = nib.Nifti1Image(data, np.diag([3.0, 3.0, 3.0, 1.0]))
        image.set_sform(np.diag([3.0, 3.0, 3.0, 1.0]), codes[0])
        image.set_qform(np.diag([-3.0, 3.0, 3.0, 1.0]) if change else np.diag([3.0, 3.0, 3.0, 1.0]), codes[1])
        nib.save(image, tmp_path / "scan.nii.gz")
        return [one.statement for one in check_scan("scan", [read_scan(tmp_path / "scan.nii.gz")], brain)]

    assert found((1, 1)) == []
    assert found((0, 0)) == [
        "the header has neither sform nor qform, so left and right are uncertain (convert the scan again from its "
        "source)"
    ]
    (reported,) = found((1, 1), change=True)
    assert "sform and qform place the scan's corners up to" in reported


def test_an_invalid_quaternion_is_one_finding_and_other_scans_are_checked(audit, of):
    def spoil(files):
        path = files.put("flair", files.scan)
        image = nib.load(path)
        content = bytearray(image.to_bytes())
        content[254:256] = np.int16(0).tobytes()  # sform_code
        content[256:260] = np.float32(7).tobytes()  # quatern_b
        path.write_bytes(gzip.compress(bytes(content)))

    found = audit(3, {1: spoil})
    (reported,) = of(found, "files")
    assert (reported.severity, reported.cases) == ("error", ("s1",))
    assert "a quaternion of length" in reported.found
    assert found.scans == 3
