"""`jsc cohort`: spelling, ready configurations, output, and an atomically written table."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from joint_seg_cls.cli.source_keys import for_source
from joint_seg_cls.config.build import build
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.scan import read_cohort
from joint_seg_cls.scan.readers import Reader

SCANS = os.environ.get("JSC_TEST_SCANS")


def volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)), path)


@pytest.fixture
def folder(tmp_path):
    """Two subjects with two visits each; one visit has no mask."""
    root = tmp_path / "our scans, 2024"
    for subject in ("P1", "P2"):
        for visit in ("T1", "T2"):
            volume(root / subject / visit / f"{subject}_{visit}_FLAIR.nii.gz")
            if (subject, visit) != ("P2", "T2"):
                volume(root / subject / visit / f"{subject}_{visit}_MASK.nii.gz")
    return root


PATTERNS = ("flair={subject}/{session}/*_FLAIR.nii.gz", "lesion_mask={subject}/{session}/*_MASK.nii.gz")


@pytest.mark.parametrize("prefix", ["", "source."])
def test_patterns_need_no_quoting(jsc, folder, tmp_path, prefix):
    out = tmp_path / "a table.tsv"
    words = [f"{prefix}{pattern}" for pattern in PATTERNS]
    code, output, err = jsc("cohort", "source=pattern", f"path={folder}", *words, f"out={out}", "disease=MS")
    assert (code, err) == (0, "")
    cases = read_cohort(out)
    assert [case.case for case in cases] == ["P1_T1", "P1_T2", "P2_T1", "P2_T2"]
    assert [len(case.lesion_masks) for case in cases] == [1, 1, 1, 0]
    assert "4 scans of 2 subjects" in output
    assert "lesion mask  3" in output
    assert "disease      4: MS 4 (2 subjects)" in output
    assert "FLAIRs without a lesion mask (1): P2 T2" in output


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("flair={subject}/*, a.nii.gz", "source.flair='{subject}/*, a.nii.gz'"),
        ("+others.t1ce={subject}_t1ce.nii", "+source.others.t1ce='{subject}_t1ce.nii'"),
        ("labels=people, all.tsv", "source.labels='people, all.tsv'"),
        ("labels={RRMS: MS}", "source.labels={RRMS: MS}"),
        ("columns={flair: FLAIR}", "source.columns={flair: FLAIR}"),
        ("flair='{subject}.nii'", "source.flair='{subject}.nii'"),
        ("lesion_mask=null", "source.lesion_mask=null"),
        ("flair=it's {subject}.nii", "source.flair='it\\'s {subject}.nii'"),
        ("take.flair=[dark]", "source.take.flair=[dark]"),
        ("path=x", "path=x"),
        ("classes=[MS]", "classes=[MS]"),
        ("hydra.verbose=true", "hydra.verbose=true"),
        ("--cfg", "--cfg"),
    ],
)
def test_unknown_keys_belong_to_the_source(word, becomes):
    assert for_source(word) == becomes


@pytest.mark.parametrize("name", sorted(path.stem for path in (config_folder() / "source").glob("*.yaml")))
def test_every_source_builds_a_reader(name):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        flair = ["source.flair='{subject}.nii.gz'"] if name == "pattern" else []
        config = compose("cohort", [f"source={name}", *flair])
    GlobalHydra.instance().clear()
    assert isinstance(build(config.source), Reader)


LAYOUTS = {
    "open_ms_data": [
        "longitudinal/raw/patient01/study{}_FLAIR.nii.gz",
        "longitudinal/raw/patient01/study{}_T1W.nii.gz",
    ],
    "open_ms_data_coregistered": [
        "longitudinal/coregistered/patient01/study{}_FLAIR.nii.gz",
        "longitudinal/coregistered/patient01/brainmask.nii.gz",
    ],
    "open_ms_data_cross_sectional": [
        "cross_sectional/coregistered/patient0{}/FLAIR.nii.gz",
        "cross_sectional/coregistered/patient0{}/T1WKS.nii.gz",
        "cross_sectional/coregistered/patient0{}/consensus_gt.nii.gz",
        "cross_sectional/coregistered/patient0{}/brainmask.nii.gz",
    ],
    "mslesseg": [f"train/P1/T{{0}}/P1_T{{0}}_{name}.nii.gz" for name in ("FLAIR", "MASK", "T1")],
    "mslesseg_test": ["test/P5{0}/P5{0}_FLAIR.nii.gz", "test/P5{0}/P5{0}_MASK.nii.gz"],
}  # fmt: skip
FOUND = {
    "open_ms_data": ({"flair", "t1"}, ["patient01_1", "patient01_2"]),
    "open_ms_data_coregistered": ({"flair", "brain_mask"}, ["patient01_1", "patient01_2"]),
    "open_ms_data_cross_sectional": ({"flair", "brain_mask", "lesion_mask", "t1ce"}, ["patient01", "patient02"]),
    "mslesseg": ({"flair", "lesion_mask", "t1"}, ["P1_T1", "P1_T2"]),
    "mslesseg_test": ({"flair", "lesion_mask"}, ["P51", "P52"]),
}


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("below", ["", "*", "*/*"])
def test_configurations_of_published_data_sets_work_from_any_folder(jsc, tmp_path, name, below):
    root = tmp_path / "sets" / "one"
    for template in LAYOUTS[name]:
        for visit in (1, 2):
            volume(root / template.format(visit))
    (path,) = root.glob(below) if below and name.startswith("open") else [root if not below else next(root.iterdir())]
    code, _, err = jsc("cohort", f"source={name}", f"path={path}", f"out={tmp_path / 'c.tsv'}")
    assert code == 0, err
    columns, cases = FOUND[name]
    header, line = (tmp_path / "c.tsv").read_text().splitlines()[:2]
    assert {key for key, cell in zip(header.split("\t"), line.split("\t"), strict=True) if ".nii" in cell} == columns
    found = read_cohort(tmp_path / "c.tsv")
    assert [case.case for case in found] == cases
    assert {case.disease for case in found} == {"MS"}


def test_an_equal_table_is_kept_and_another_is_never_overwritten(jsc, folder, tmp_path):
    out = tmp_path / "c.tsv"
    words = ("cohort", "source=pattern", f"path={folder}", *PATTERNS, f"out={out}")
    assert jsc(*words)[0] == 0
    before = out.stat()
    code, output, _ = jsc(*words)
    assert (code, "unchanged" in output) == (0, True)
    assert out.stat().st_mtime_ns == before.st_mtime_ns
    text = out.read_text()
    code, _, err = jsc(*words, "disease=MS")
    assert (code, "another table" in err) == (2, True)
    assert out.read_text() == text


def test_a_table_keeps_its_paths_when_it_moves_with_its_folder(jsc, folder, tmp_path):
    out = folder / "tables" / "c.csv"
    assert jsc("cohort", "source=pattern", f"path={folder}", *PATTERNS, f"out={out}")[0] == 0
    moved = folder.rename(tmp_path / "moved")
    assert [case.images[0].is_file() for case in read_cohort(moved / "tables" / "c.csv")] == [True] * 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("source=bids",), "a value for path"),
        (("path=.",), "source= one of bids, dicom, isbi2015"),
        (("source=bidz", "path=."), "source/bidz"),
        (("source=bids", "path=nowhere", "out=c.tsv"), "no such folder"),
        (("source=bids", "path=.", "out=c.txt"), "a .tsv or .csv file"),
        (("source=bids", "path=.", "out=."), "a .tsv or .csv file"),
        (("source=bids", "path=.", "out=folder.tsv"), "a folder"),
        (("source=bids", "path=.", "out=file/c.tsv"), "choose another folder"),
        (("source=bids", "path=.", "out=c.tsv"), "sub-01/anat/sub-01_FLAIR.nii.gz"),
        (("source=table", "path=.", "out=c.tsv"), "expected a table, found a folder"),
        (("source=table", "path=none.csv", "out=c.tsv"), "no such file"),
        (("source=pattern", "path=.", "out=c.tsv"), "flair='{subject}"),
        (("source=pattern", "path=.", "out=c.tsv", "flair={subject}/none.nii.gz"), "none of which match (a/x.nii.gz)"),
        (("source=pattern", "path=.", "out=c.tsv", "flair={subject}/x.nii.gz", "disease=HC"), "labels={HC: null}"),
        (
            ("source=pattern", "path=.", "out=c.tsv", "flair={subject}/x.nii.gz", "disease=NMO"),
            "labels={NMO: NMOSD}' if it means NMOSD",
        ),
        (("source=pattern", "path=.", "out=c.tsv", "flar={subject}/x.nii.gz"), "source.flar"),
        (("source=dicom", "path=.", "out=c.tsv", "choice.take.flair=['(']"), "regular expressions"),
    ],
)  # fmt: skip
def test_invalid_input_is_one_sentence_and_writes_nothing(jsc, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.tsv").mkdir()
    (tmp_path / "file").touch()
    volume(tmp_path / "a" / "x.nii.gz")
    code, out, err = jsc("cohort", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "file", "folder.tsv", "x.nii.gz"]


def test_inaccessible_paths_are_named(jsc, folder, tmp_path, monkeypatch):
    words = ("cohort", "source=pattern", f"path={folder}", *PATTERNS, f"out={tmp_path / 'c.tsv'}")
    scan = os.scandir

    def closed(place):
        if str(place).endswith("P2"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", closed)
        code, _, err = jsc(*words)
    assert (code, "P2: expected a readable folder, found Permission denied" in err) == (2, True)

    def full(path, *_, **__):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        code, _, err = jsc(*words)
    assert (code, "found No space left on device" in err) == (2, True)
    assert list(tmp_path.iterdir()) == [folder]


def test_further_classes_can_be_named(jsc, folder, tmp_path):
    words = ("cohort", "source=pattern", f"path={folder}", *PATTERNS, f"out={tmp_path / 'c.tsv'}", "disease=MOGAD")
    code, output, err = jsc(*words, "classes=[MS,NMOSD,MOGAD]")
    assert code == 0, err
    assert "MOGAD 4 (2 subjects)" in output


@pytest.mark.skipif(not SCANS, reason="JSC_TEST_SCANS does not name a folder with open_ms/ (real scans)")
def test_real_scans_are_found_by_patterns_and_by_table(jsc, tmp_path):
    root = Path(SCANS or ".") / "open_ms"
    raw = "raw/{subject}_study{session}"
    code, _, err = jsc(
        "cohort", "source=pattern", f"path={root}", f"flair={raw}_flair.nii.gz", f"brain_mask={raw}_brain_mask.nii.gz",
        f"t1={raw}_t1.nii.gz", "disease=MS", f"out={tmp_path / 'raw.tsv'}",
    )  # fmt: skip
    assert code == 0, err
    cases = read_cohort(tmp_path / "raw.tsv")
    assert cases
    assert all(case.brain_mask is not None for case in cases)
    code, _, err = jsc("cohort", "source=table", f"path={tmp_path / 'raw.tsv'}", f"out={tmp_path / 'a' / 'again.csv'}")
    assert code == 0, err
    assert [case.images for case in read_cohort(tmp_path / "a" / "again.csv")] == [case.images for case in cases]
    code, _, err = jsc(
        "cohort", "source=pattern", f"path={root / 'stripped'}", "flair={subject}_flair.nii.gz",
        "lesion_mask={subject}_lesion_mask.nii.gz", f"out={tmp_path / 'stripped.tsv'}",
    )  # fmt: skip
    assert code == 0, err
    assert all(len(case.lesion_masks) == 1 for case in read_cohort(tmp_path / "stripped.tsv"))
