"""Names of tests on other cohorts."""

import json
from dataclasses import replace

import pytest

from joint_seg_cls.commands.evaluate import _content_of, _free_name, _Scans
from joint_seg_cls.scan import read_cohort
from joint_seg_cls.training import RunFolder


@pytest.fixture
def cohort(tmp_path):
    def write(folder, scan=b"scan"):
        place = tmp_path / folder
        place.mkdir()
        (place / "a.nii.gz").write_bytes(scan)
        (place / "cohort.tsv").write_text("subject\tflair\na\ta.nii.gz\n")
        return place / "cohort.tsv"

    return write


def test_a_fingerprint_depends_on_the_content_and_not_on_the_path(cohort):
    tables = [cohort("zebra"), cohort("quagga"), cohort("okapi", b"another scan")]
    first, moved, other = (_content_of(table, read_cohort(table)) for table in tables)
    assert first == moved
    assert first != other


def test_two_cohorts_with_one_name_have_separate_folders(tmp_path):
    scans = _Scans("cohort", "cohort.tsv, content aa", 1, None, iter(()), None)
    other = replace(scans, where="cohort.tsv, content bb")
    run = RunFolder(tmp_path)
    assert _free_name(run, scans) == "cohort"
    (tmp_path / "evaluations" / "cohort").mkdir(parents=True)
    (tmp_path / "evaluations" / "cohort" / "tested.json").write_text(json.dumps({"on": scans.where, "weights": "w"}))
    assert _free_name(run, scans) == "cohort"
    assert _free_name(run, other).startswith("cohort-")
    assert _free_name(run, other) == _free_name(run, replace(other))
