"""The audit of real scans: valid ones have only known findings, and introduced faults are found."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SCANS = os.environ.get("JSC_TEST_SCANS")
pytestmark = pytest.mark.skipif(not SCANS, reason="JSC_TEST_SCANS does not name a folder with open_ms/ (real scans)")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Two stripped and three raw scans; a copy of each stripped one with its mask turned; a copy of a raw one."""
    from joint_seg_cls.audit import audit_cohort

    folder, root = tmp_path_factory.mktemp("real"), Path(SCANS or ".") / "open_ms"
    lines = ["subject\tsession\tflair\tlesion_mask\tbrain_mask\tdisease"]
    for name in ("patient07", "patient19"):
        scan, mask = root / f"stripped/{name}_flair.nii.gz", root / f"stripped/{name}_lesion_mask.nii.gz"
        image = nib.load(mask)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine), folder / f"{name}.nii.gz")
        lines.append(f"{name}\t\t{scan}\t{mask}\t\tMS")
        lines.append(f"turned-{name}\t\t{scan}\t{folder / f'{name}.nii.gz'}\t\tMS")
    for name, session in (("patient04", 1), ("patient12", 1), ("patient12", 2)):
        stem = root / f"raw/{name}_study{session}"
        lines.append(f"{name}\t{session}\t{stem}_flair.nii.gz\t\t{stem}_brain_mask.nii.gz\tMS")
    lines.append(f"another\t\t{stem}_flair.nii.gz\t\t{stem}_brain_mask.nii.gz\tMS")
    path = folder / "cohort.tsv"
    path.write_text("\n".join(lines) + "\n")
    return audit_cohort(path, modalities=["flair"], classes=["MS", "NMOSD"])[0]


def cases(found, check, *severities):
    reported = [finding for finding in found.findings if finding.check == check and finding.severity in severities]
    return [finding.cases for finding in reported]


def test_only_rotated_masks_are_reported(found):
    assert cases(found, "left-right mismatch", "error", "warning") == [("turned-patient07",), ("turned-patient19",)]


def test_a_scan_under_two_subjects_is_reported_and_two_visits_are_not(found):
    assert cases(found, "duplicates", "error") == [
        ("patient07", "turned-patient07"),
        ("patient19", "turned-patient19"),
        ("patient12_2", "another"),
    ]
    # the other visit of patient12 looks like the scan of "another"
    assert cases(found, "duplicates", "warning") == [("patient12_1", "another")]


def test_real_scans_have_no_other_findings(found):
    known = {"left-right mismatch", "duplicates", "labels"}
    assert [finding.sentence for finding in found.of("error") if finding.check not in known] == []
    assert [finding.sentence for finding in found.of("warning") if finding.check not in known] == []


def test_lesion_counts_equal_those_of_the_source(found):
    rows = {row[0]: row for row in found.tables[2].rows}
    assert rows["MS"][1] == "4"
    assert rows["MS"][3].endswith("1.30-49.77)")
    assert rows["MS"][4].endswith("37-98)")
