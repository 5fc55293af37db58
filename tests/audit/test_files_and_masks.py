"""Faults of a cohort's files are each reported by their check; a valid cohort has no findings but its size."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import CohortError

SMALL = "labels"  # the finding about four subjects belongs to another test


def test_a_valid_cohort_has_only_a_finding_about_its_size(audit):
    found = audit(4)
    assert {finding.check for finding in found.findings if finding.severity != "note"} == {SMALL}
    assert (found.scans, found.subjects) == (4, 4)


def test_every_broken_file_is_reported_and_the_others_are_checked(audit, of):
    def truncated(files):
        path = files.folder / files.row["flair"]
        path.write_bytes(path.read_bytes()[:-300])

    def nan(files):
        scan = files.scan.astype(np.float32)
        scan[3, 3, 3] = np.nan
        files.put("flair", scan)

    spoil = {
        0: lambda files: (files.folder / files.row["flair"]).unlink(),
        1: truncated,
        2: lambda files: files.put("flair", np.stack([files.scan, files.scan], axis=-1)),
        3: nan,
        4: lambda files: files.put("flair", np.full_like(files.scan, 7)),
        5: lambda files: (files.folder / files.row["lesion_mask"]).write_bytes(gzip.compress(b"no image" * 99)),
    }
    found = audit(8, spoil)
    reported = of(found, "files")
    assert all(finding.severity == "error" for finding in reported)
    assert [(finding.cases[0], finding.found.split(" (")[0]) for finding in reported] == [
        ("s0", f"no file {found.source.replace('cohort.tsv', 's0_flair.nii.gz')}"),
        ("s1", "a damaged file or another format"),
        ("s2", "shape"),
        ("s3", "1 NaN or infinite voxels"),
        ("s4", "the constant value 7"),
        ("s5", "a damaged file or another format"),
    ]
    assert "(31, 35, 29, 2)" in reported[2].found
    lesions = next(table for table in found.tables if table.title == "Lesions by class")
    assert [row[:2] for row in lesions.rows] == [["MS", "1"], ["NMOSD", "1"], ["all", "2"]]  # s6 and s7


def test_both_files_of_one_row_are_reported(audit, of):
    def both(files):
        (files.folder / files.row["flair"]).unlink()
        files.put("lesion_mask", files.lesion * 2)

    found = audit(2, {1: both})
    assert len(of(found, "files")) == len(of(found, "mask values")) == 1


def test_invalid_rows_are_reported_with_their_line(audit, of):
    spoil = {
        0: lambda files: files.row.update(disease="Alzheimer"),
        1: lambda files: files.row.update(subject=""),
        2: lambda files: files.row.update(flair=""),
        3: lambda files: files.row.update(subject="S4"),
    }
    found = audit(5, spoil)
    reported = of(found, "table") + of(found, "files")
    assert sorted(finding.found for finding in reported) == [
        "Alzheimer",
        "an empty cell",
        "an empty cell",
        "s4 in lines 5, 6",
    ]
    assert {finding.file.rpartition(", ")[2] for finding in reported if "cell" in finding.found} == {"line 3", "line 4"}


def test_a_missing_table_is_refused(tmp_path, audit):
    from joint_seg_cls.audit import audit_cohort

    with pytest.raises(CohortError, match="no such file"):
        audit_cohort(tmp_path / "none.tsv", modalities=["flair"], classes=["MS", "NMOSD"])


def test_a_misplaced_mask_is_reported_in_millimetres_with_its_values(audit, of):
    def elsewhere(files):
        files.affine[2, 3] += 5
        files.put("lesion_mask", files.lesion * 2, files.affine)

    found = audit(2, {0: elsewhere})
    (grid,), (values,) = of(found, "grids"), of(found, "mask values")
    assert (grid.severity, grid.found) == ("error", "corners up to 5.00 mm away")
    assert (values.severity, values.found) == ("error", "the values 0, 2")


@pytest.mark.parametrize(("value", "key"), [(2, "lesion_value=2"), (255, "lesion_value=255")])
def test_other_integer_values_are_refused_with_the_key_that_reads_them(audit, of, value, key):
    spoil = {number: lambda files: files.put("lesion_mask", files.lesion * np.uint8(value)) for number in range(2)}
    refused = of(audit(2, spoil), "mask values")
    assert [(finding.severity, key in finding.remedy) for finding in refused] == [("error", True)] * 2
    accepted = audit(2, spoil, lesion_value=value)
    assert not of(accepted, "mask values")
    assert accepted.tables[2].rows[0][1:3] == ["1", "0"]


def test_values_near_one_are_rounded_and_reported(audit, of):
    spoil = {0: lambda files: files.put("lesion_mask", files.lesion.astype(np.float32) * np.float32(1.0000153))}
    (note,) = of(audit(2, spoil), "mask values")
    assert (note.severity, note.found) == ("note", "values such as 1.000015, rounded to 1")


def test_an_inverted_mask_is_reported(audit, of):
    spoil = {0: lambda files: files.put("lesion_mask", 1 - files.lesion)}
    reported = of(audit(2, spoil), "mask values")
    assert [finding.expected for finding in reported] == ["lesions in less than 30 % of the brain"]


def test_lesion_voxels_outside_the_brain_are_reported(audit, of):
    def nine_of_36_outside(files):
        lesion = np.roll(files.lesion, 0)
        lesion[8, 16:19, 13:16] = 0
        lesion[0, 16:19, 13:16] = 1  # nine voxels at the edge of the grid, four blocks of nine in all
        files.put("lesion_mask", lesion)

    (reported,) = of(audit(2, {1: nine_of_36_outside}), "masks outside the brain")
    assert (reported.severity, reported.found) == ("warning", "25.0 % of the lesion voxels outside")


def test_a_brain_mask_is_used_and_checked(tmp_path, cohort, of):
    from joint_seg_cls.audit import audit_cohort

    path = cohort(2)
    scan = nib.load(tmp_path / "s0_flair.nii.gz")
    masks = {"s0": np.zeros(scan.shape, np.uint8), "s1": 2 * (np.asarray(scan.dataobj) != 0).astype(np.uint8)}
    for name, mask in masks.items():
        nib.save(nib.Nifti1Image(mask, scan.affine), tmp_path / f"{name}_brain.nii.gz")
    lines = path.read_text().splitlines()
    rows = [f"{lines[0]}\tbrain_mask", *(f"{line}\t{line.split(chr(9))[0]}_brain.nii.gz" for line in lines[1:])]
    path.write_text("\n".join(rows) + "\n")
    found, _, _ = audit_cohort(path, modalities=["flair"], classes=["MS", "NMOSD"])
    assert [(f.severity, f.found) for f in of(found, "brain masks")] == [("error", "a brain mask of 0 mL")]
    (values,) = of(found, "mask values")
    assert (values.found, values.remedy) == ("the values 0, 2", "write brain voxels as 1 and all others as 0")
