"""A prepared store is audited once for a sweep, its folds every time: subjects and scans on both sides."""

import json
import shutil

import numpy as np
import pytest

from joint_seg_cls.audit import audit_folds, audit_frozen, audit_store, read_audit, write_audit, write_audits
from joint_seg_cls.audit.finding import Finding, accepted
from joint_seg_cls.audit.leakage import check_leakage
from joint_seg_cls.data import Folds, Split, SplitFile, freeze
from joint_seg_cls.scan import PreparedStore


def sentences(audit, severity):
    return [finding.sentence for finding in audit.of(severity)]


@pytest.fixture
def visits(make_store, edit_case, tmp_path):
    """Twelve prepared cases of ten subjects: s0 and s1 have two each."""
    folder = make_store(tmp_path / "store", subjects=12)
    for number in (10, 11):
        edit_case(folder / f"s{number}", subject=f"s{number - 10}", session="second")
    return PreparedStore(folder)


def test_the_audit_is_reused_until_the_store_changes(make_store, edit_case, tmp_path, monkeypatch):
    folder = make_store(tmp_path / "store", subjects=10)
    first = audit_store(PreparedStore(folder))
    kept = read_audit(folder / "audit.json")
    assert kept == first
    assert first.data_hash == PreparedStore(folder).content_hash
    with monkeypatch.context() as patch:
        patch.setattr("joint_seg_cls.audit.store.measure_case", None)  # asking would fail
        assert audit_store(PreparedStore(folder)) == first
        folder = folder.rename(tmp_path / "moved")
        assert audit_store(PreparedStore(folder)).source == str(folder)
    edit_case(folder / "s3", columns={"site": "north"})
    assert audit_store(PreparedStore(folder)).data_hash != first.data_hash


def test_the_audit_of_another_version_is_repeated(make_store, tmp_path):
    folder = make_store(tmp_path / "store", subjects=4)
    audit_store(PreparedStore(folder))
    record = json.loads((folder / "audit.json").read_text())
    (folder / "audit.json").write_text(json.dumps(record | {"made_with": "0.0", "findings": []}))
    assert audit_store(PreparedStore(folder)).findings
    (folder / "audit.json").write_text("{")
    assert audit_store(PreparedStore(folder)).findings


def test_a_duplicate_prepared_scan_is_reported_with_location_and_warnings(make_store, edit_case, tmp_path):
    folder = make_store(tmp_path / "store", subjects=10)
    for name in ("image.npy", "lesion_mask.npy"):
        shutil.copy(folder / "s2" / name, folder / "s5" / name)
    brain = np.load(folder / "s1" / "brain_mask.npy")
    brain[:, :6] = 0  # removes a quarter of the lesion, which spans 5 to 8 along y
    np.save(folder / "s1" / "brain_mask.npy", brain)
    for name in ("s1", "s5"):
        edit_case(folder / name)
    edit_case(folder / "s4", provenance={"warnings": ["the resize erases 3 of 9 lesions"]})
    found = audit_store(PreparedStore(folder))
    assert [finding.check for finding in found.of("error")] == ["duplicates"]
    assert found.duplicates == (("s2", "s5"),)
    warnings = {finding.check: (finding.cases, finding.found) for finding in found.of("warning")}
    assert warnings["masks outside the brain"] == (("s1",), "25.0 % of the lesion voxels outside")
    assert warnings["preparation"] == (("s4",), "the resize erases 3 of 9 lesions")


def test_a_mirrored_mask_is_reported_for_a_prepared_case(make_store, edit_case, tmp_path):
    folder = make_store(tmp_path / "store", subjects=10)
    mask = np.load(folder / "s3" / "lesion_mask.npy")
    np.save(folder / "s3" / "lesion_mask.npy", mask[::-1])
    edit_case(folder / "s3")
    reported = [finding for finding in audit_store(PreparedStore(folder)).findings if finding.check.startswith("left")]
    assert [finding.cases for finding in reported] == [("s3",)]


def test_random_folds_of_several_visits_leak_and_strict_ones_do_not(visits):
    base = audit_store(visits)
    for kind, leaks in (("random", True), ("strict", False), ("grouped", False)):
        folds = next(
            folds
            for seed in range(20)
            if (folds := Folds(kind, 5, seed)) and (not leaks or _apart(folds.splits(visits.cases, 0)))
        )
        found = audit_folds(base, visits, folds.splits(visits.cases, 0), folds, name="it")
        reported = [finding for finding in found.findings if finding.check == "leakage"]
        assert [finding.severity for finding in reported] == ["warning"] * leaks
    assert found.folds_hash


def _apart(splits):
    return any(len({"s0", "s10"} & set(split.test)) == 1 for split in splits.values())


def test_hand_counted_leakage(visits):
    splits = {
        0: Split(("s1", "s2", "s10"), (), ("s0", "s3")),
        1: Split(("s0", "s10", "s1"), ("s11",), ("s4",)),
        2: Split(("s0", "s10"), (), ("s1", "s11")),
    }
    reported = check_leakage(splits, visits.cases, [("s2", "s3"), ("s0", "s10")], name="mine", severity="error")
    assert [finding.severity for finding in reported] == ["error"] * 3
    assert reported[0].found.startswith("2 subjects (s0, s1) with 4 scans on both sides in 2 of 3 folds of mine")
    assert reported[1].found == "the same scan as s2 and s3 on both sides of fold 0 of mine"
    assert reported[2].found == "the same scan as s0 and s10 on both sides of fold 0 of mine"


def test_a_users_leaking_split_is_an_error_unless_allowed(visits, tmp_path):
    path = tmp_path / "mine.tsv"
    names = [case.case for case in visits.cases]
    path.write_text("case\tfold\n" + "".join(f"{name}\t{int(name[1:]) % 4 // 2}\n" for name in names))
    folds = SplitFile(path, allow=["leakage"])
    base, splits = audit_store(visits), folds.splits(visits.cases, 0)
    for allow, severity in ((["leakage"], "warning"), ([], "error")):
        found = audit_folds(base, visits, splits, SplitFile(path, allow=allow), name="mine")
        assert [finding.severity for finding in found.findings if finding.check == "leakage"] == [severity]
    found = audit_folds(base, visits, splits, SplitFile(path), name="mine", accept=["leakage"])
    (reported,) = [finding for finding in found.findings if finding.check == "leakage"]
    assert (reported.severity, "accepted by the user" in reported.remedy) == ("warning", True)


def test_outdated_frozen_folds_are_reported(visits, edit_case):
    folds = Folds("strict", 5)
    freeze(visits, folds, 0.0)
    assert audit_frozen(visits, but="other") == []
    edit_case(visits.path / "s3", disease="MS")
    changed = PreparedStore(visits.path)
    (reported,) = audit_frozen(changed, but="other")
    assert (reported.severity, reported.check) == ("warning", "folds")
    assert "1 with another subject or disease (s3)" in reported.found
    assert audit_frozen(changed, but=folds.name(0.0)) == []


def test_an_audit_survives_the_round_trip(visits, tmp_path):
    found = audit_store(visits).with_findings([Finding("error", "files", "a", "b", "c", ("d",), "e")])
    write_audit(found, tmp_path / "one.json")
    assert read_audit(tmp_path / "one.json") == found
    assert found.findings[0].check == "files"  # errors first
    write_audits([found, found], tmp_path / "two.json")
    record = json.loads((tmp_path / "two.json").read_text())
    assert record["counts"]["errors"] == 2
    assert len(record["findings"]) == 2 * len(found.findings)
    assert [one["source"] for one in record["audits"]] == [str(visits.path)] * 2
    assert read_audit(tmp_path / "none.json") is None


def test_accepting_a_check_keeps_other_errors():
    findings = [
        Finding("error", "files", "", "", "r"),
        Finding("error", "grids", "", "", "r"),
        Finding("note", "files", "", "", ""),
    ]
    assert [finding.severity for finding in accepted(findings, ["files"])] == ["warning", "error", "note"]


def test_the_location_of_a_finding():
    cases = tuple("abcdefg")
    assert Finding("note", "files", "", "", "", cases).where == "a, b, c, d, e and 2 more"
    assert Finding("note", "files", "", "", "", ("a",), "deep/in/a.nii.gz").where == "a, a.nii.gz"
    assert Finding("note", "files", "", "", "").where == "cohort"
