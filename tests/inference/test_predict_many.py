"""`jsc predict` and `joint_seg_cls.predict`: many scans, several networks, and inputs that are none."""

import json
import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import joint_seg_cls
from joint_seg_cls.errors import CohortError, ScanError


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_checkpoint, write_scan):
    """Two scans, and two networks that differ in their weights."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(2):
        write_scan(folder / "scans" / f"p{number}.nii.gz", seed=number)
        write_checkpoint(folder / f"{number}.ckpt", seed=number)
    return folder


@pytest.fixture
def predict(made, jsc):
    def run(scans, out, *words, checkpoint=made / "0.ckpt", page=False):
        told = (f"input={scans}", f"checkpoint={checkpoint}", f"out={out}", f"page={str(page).lower()}", "device=cpu")
        code, _, err = jsc("predict", *told, *words)
        return code, err

    return run


def record_of(out, name):
    return json.loads((out / f"{name}.json").read_text())


def column(file, name):
    return list(pd.read_csv(file, sep="\t")[name])


def test_finished_scans_are_kept_until_their_content_or_the_model_changes(made, predict, write_scan, tmp_path):
    out, scans = tmp_path / "out", tmp_path / "scans"
    write_scan(scans / "p0.nii.gz")
    (scans / "bad.nii.gz").write_bytes(b"no scan")
    code, err = predict(scans, out)
    assert (code, "bad.nii.gz: expected" in err) == (2, True)
    assert column(out / "predictions.tsv", "id") == ["p0"]
    assert column(out / "failures.tsv", "id") == ["bad"]
    assert str(tmp_path) not in (out / "failures.tsv").read_text()
    first = record_of(out, "p0")
    assert first["cost"]["seconds"] > 0
    assert first["cost"]["peak_memory_mb"] > 10

    write_scan(scans / "bad.nii.gz", seed=5)
    code, err = predict(scans, out)
    assert (code, "p0: finished before" in err, "bad: finished before" in err) == (0, True, False)
    assert record_of(out, "p0") == first
    assert column(out / "predictions.tsv", "id") == ["bad", "p0"]
    assert not (out / "failures.tsv").exists()

    for change in (lambda: write_scan(scans / "p0.nii.gz", seed=9), (out / "p0_lesions.tsv").unlink):
        change()
        code, err = predict(scans, out)
        assert (code, "p0: finished before" in err, "bad: finished before" in err) == (0, False, True)
    assert record_of(out, "p0")["made_from"]["images"] != first["made_from"]["images"]
    code, err = predict(scans, out, "views=flips")
    assert (code, "finished before" in err) == (0, False)
    code, err = predict(scans, out, "views=flips", "again=true")
    assert (code, "finished before" in err) == (0, False)


@pytest.mark.parametrize(
    ("codes", "turned", "warning"),
    [
        ((0, 0), 0, "the header has neither sform nor qform, so left and right are uncertain"),
        ((2, 1), 10, "sform and qform place the scan's corners up to"),
    ],
)
def test_doubts_about_the_orientation_are_printed_and_recorded(predict, write_scan, tmp_path, codes, turned, warning):
    path, out = write_scan(tmp_path / "p0.nii.gz"), tmp_path / "out"
    scan = nib.load(path)
    qform = scan.affine.copy()
    qform[:3, :3] = [[1, 0, 0], *(nib.eulerangles.euler2mat(x=np.deg2rad(turned))[1:])] @ qform[:3, :3]
    image = nib.Nifti1Image(np.asarray(scan.dataobj), scan.affine)
    image.set_sform(scan.affine, codes[0])
    image.set_qform(qform, codes[1])
    nib.save(image, path)
    code, err = predict(path, out)
    assert (code, err.count(warning)) == (0, 1), err
    assert sum(warning in each for each in record_of(out, "p0")["warnings"]) == 1
    assert warning in column(out / "predictions.tsv", "warnings")[0]


def test_a_folder_of_another_model_is_refused_unless_it_is_accepted(made, predict, tmp_path):
    out, one = tmp_path / "out", made / "scans" / "p0.nii.gz"
    assert predict(one, out)[0] == 0
    before = record_of(out, "p0")
    code, err = predict(one, out, checkpoint=made / "1.ckpt")
    assert (code, "accept=[other_model]" in err) == (2, True)
    assert record_of(out, "p0") == before
    code, err = predict(one, out, "accept=[other_model]", checkpoint=made / "1.ckpt")
    assert code == 0, err
    assert record_of(out, "p0")["model"]["sha256"] != before["model"]["sha256"]
    code, err = predict(one, out, "accept=[all]", checkpoint=made / "1.ckpt")
    assert (code, "accept: expected other_model, found all" in err) == (2, True)
    code, err = predict(one, out, re.findall(r"accept=\[.*?\]", err)[0], checkpoint=made / "1.ckpt")
    assert code == 0, err


def test_pages_are_added_to_finished_predictions_and_kept_while_these_are_the_same(made, predict, tmp_path):
    out, one = tmp_path / "out", made / "scans" / "p0.nii.gz"
    assert predict(one, out)[0] == 0
    assert not list(out.glob("*.html"))
    code, err = predict(one, out, page=True)
    assert (code, "p0: finished before" in err) == (0, True), err
    assert {file.name for file in out.glob("*.*") if file.suffix in (".html", ".pdf")} == {
        "p0.html",
        "p0.pdf",
        "index.html",
    }
    written = (out / "p0.html").stat().st_mtime_ns
    assert predict(one, out, page=True)[0] == 0
    assert (out / "p0.html").stat().st_mtime_ns == written
    assert predict(one, out, "again=true", page=True)[0] == 0
    assert (out / "p0.html").stat().st_mtime_ns > written
    (out / "p0.html").write_text("notes of someone")
    code, err = predict(one, out, page=True)
    assert (code, "a file of other origin that the output would replace" in err) == (2, True)
    assert (out / "p0.html").read_text() == "notes of someone"


def test_names_are_hidden_on_pages_that_showed_them_and_shown_again(made, predict, write_scan, tmp_path):
    out = tmp_path / "out"
    scan = write_scan(tmp_path / "Doe-Jane.nii.gz")
    for words, is_shown in (((), True), (("hide_names=true",), False), ((), True)):
        code, err = predict(scan, out, *words, page=True)
        assert code == 0, err
        assert ("Doe-Jane" in (out / "Doe-Jane.html").read_text()) == is_shown
        assert (b"Doe-Jane" in (out / "Doe-Jane.pdf").read_bytes()) == is_shown  # its title
        written = (out / "Doe-Jane.html").stat().st_mtime_ns
        assert predict(scan, out, *words, page=True)[0] == 0
        assert (out / "Doe-Jane.html").stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["p0_lesions.nii.gz", "p0_lesion-probability.nii.gz", "p0_lesions.tsv"])
def test_outputs_that_were_changed_are_reported_and_replaced_only_on_request(made, predict, tmp_path, name):
    out = tmp_path / "out"
    assert predict(made / "scans", out)[0] == 0
    sound = (out / name).read_bytes()
    (out / name).write_bytes(b"corrected by hand")
    code, err = predict(made / "scans", out)
    assert (code, f"{name}: expected the file that the prediction wrote" in err) == (2, True)
    assert "p1: finished before" in err
    assert (out / name).read_bytes() == b"corrected by hand"
    (out / name).rename(tmp_path / name)  # the remedy: move it
    assert predict(made / "scans", out)[0] == 0
    assert (tmp_path / name).read_bytes() == b"corrected by hand"
    (out / name).write_bytes(b"again")
    assert predict(made / "scans", out, "again=true")[0] == 0
    assert (out / name).read_bytes() == sound
    assert not (out / "failures.tsv").exists()


def test_python_replaces_no_file_of_other_origin(made, tmp_path):
    (tmp_path / "p0_lesions.nii.gz").write_bytes(b"drawn by hand")
    findings = joint_seg_cls.predict(made / "scans" / "p0.nii.gz", made / "0.ckpt", device="cpu")
    with pytest.raises(CohortError, match="a file of other origin that the prediction would replace"):
        findings.save(tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"drawn by hand"]


def test_an_ensemble_writes_its_mean_and_its_disagreement(made, predict, tmp_path):
    scan, both = made / "scans" / "p0.nii.gz", f"[{made / '0.ckpt'},{made / '1.ckpt'}]"
    for name, checkpoint in (("0", made / "0.ckpt"), ("1", made / "1.ckpt"), ("both", both)):
        code, err = predict(scan, tmp_path / name, "views=one", checkpoint=checkpoint)
        assert code == 0, err
    one, other, mean = (
        np.asarray(nib.load(tmp_path / name / "p0_lesion-probability.nii.gz").dataobj) for name in ("0", "1", "both")
    )
    np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-7)
    assert np.abs(one - other).max() > 1e-4
    spread = nib.load(tmp_path / "both" / "p0_disagreement.nii.gz")
    np.testing.assert_array_equal(spread.affine, nib.load(scan).affine)
    assert 0 < np.asarray(spread.dataobj).max() <= np.abs(one - other).max()
    assert not (tmp_path / "0" / "p0_disagreement.nii.gz").exists()
    p, q, record = (record_of(tmp_path / name, "p0") for name in ("0", "1", "both"))
    gap = abs(p["disease_probability"]["MS"] - q["disease_probability"]["MS"])
    assert record["disease_disagreement"]["MS"] == pytest.approx(gap / 2)
    assert len(record["model"]["members"]) == 2


def test_what_is_no_scan_is_refused_in_a_sentence_and_leaves_no_folder(made, predict, write_scan, tmp_path):
    mask, out = tmp_path / "mask.nii.gz", tmp_path / "out"
    scan = nib.load(made / "scans" / "p0.nii.gz")
    nib.save(nib.Nifti1Image((np.asarray(scan.dataobj) > 150).astype(np.uint8), scan.affine), mask)
    (tmp_path / "empty").mkdir()
    write_scan(tmp_path / "nested" / "p1" / "flair.nii.gz")
    write_scan(tmp_path / "P0.nii")
    for path, says in (
        (mask, "expected a scan with grey values, found a mask of 2 different values"),
        (tmp_path / "gone.nii.gz", "found no such file"),
        (tmp_path / "empty", "a BIDS data set or DICOM images, found none"),
        (tmp_path / "nested", "found NIfTI files in its subfolders (p1/flair.nii.gz)"),
        (f"[{made}/scans/p0.nii.gz,{tmp_path}/P0.nii]", "found p0 more than once"),
    ):
        code, err = predict(path, out)
        assert (code, says in err, "Traceback" in err) == (2, True, False), err
        assert not out.exists()


def test_the_remedies_for_missing_modalities_and_nested_scans_work(
    predict, jsc, write_checkpoint, write_scan, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    two = write_checkpoint(tmp_path / "two.ckpt", channels=2)
    for number, name in enumerate(("flair", "t1")):
        write_scan(tmp_path / f"{name}.nii.gz", seed=number)
    code, err = predict("flair.nii.gz", "out", checkpoint=two)
    assert (code, "expected 2 files for each scan" in err) == (2, True)
    files = re.findall(r"input=(\[.*?\])", err)[0]
    code, err = predict(files, "out", checkpoint=two)
    assert (code, column(tmp_path / "out" / "predictions.tsv", "id")) == (0, ["flair"]), err

    write_scan(tmp_path / "nested" / "p1" / "flair.nii.gz")
    code, err = predict("nested", "again")
    assert code == 2
    command = re.findall("`jsc (.*?)`", err)[0].split()
    code, _, err = jsc(*command, "path=nested", "out=c.tsv", "flair={subject}/flair.nii.gz")
    assert code == 0, err
    code, err = predict("c.tsv", "again")
    assert (code, column(tmp_path / "again" / "predictions.tsv", "id")) == (0, ["p1"]), err


def test_half_a_scan_gets_a_warning_in_its_record(made, predict, tmp_path):
    whole = nib.load(made / "scans" / "p0.nii.gz")
    nib.save(whole.slicer[:, :, :11], tmp_path / "half.nii.gz")
    code, err = predict(f"[{made}/scans/p0.nii.gz,{tmp_path}/half.nii.gz]", tmp_path / "out")
    assert code == 0, err
    said = "the brain is cut off at the superior border of the image: part of it is missing"
    assert [said in record_of(tmp_path / "out", name)["warnings"] for name in ("half", "p0")] == [True, False]
    assert err.count(said) == 1


def test_a_bids_folder_is_read_as_a_cohort_is(predict, write_scan, tmp_path):
    data = tmp_path / "bids"
    for subject, suffix in (("01", "FLAIR"), ("02", "FLAIR"), ("03", "T1w")):
        write_scan(data / f"sub-{subject}" / "anat" / f"sub-{subject}_{suffix}.nii.gz", seed=int(subject))
    code, err = predict(data, tmp_path / "out")
    assert code == 0, err
    assert column(tmp_path / "out" / "predictions.tsv", "id") == ["sub-01", "sub-02"]
    assert "visits without a FLAIR (1): sub-03" in err


def test_scans_that_lack_a_modality_of_the_network_are_listed(predict, write_checkpoint, write_scan, tmp_path):
    data = tmp_path / "bids"
    for name in ("sub-01/anat/sub-01_FLAIR", "sub-01/anat/sub-01_T1w", "sub-02/anat/sub-02_FLAIR"):
        write_scan(data / f"{name}.nii.gz", seed=len(name))
    two = write_checkpoint(tmp_path / "two.ckpt", channels=2)
    code, err = predict(data, tmp_path / "out", checkpoint=two)
    assert (code, "sub-02: expected the modalities flair, t1, found no t1" in err) == (2, True)
    assert column(tmp_path / "out" / "predictions.tsv", "id") == ["sub-01"]
    assert column(tmp_path / "out" / "failures.tsv", "id") == ["sub-02"]


def test_python_returns_what_the_command_writes(made, predict, tmp_path):
    path = made / "scans" / "p1.nii.gz"
    code, err = predict(path, tmp_path / "out", "views=flips")
    assert code == 0, err
    found = joint_seg_cls.predict(path, made / "0.ckpt", views="flips", device="cpu")
    written = nib.load(tmp_path / "out" / "p1_lesion-probability.nii.gz")
    np.testing.assert_array_equal(found.maps.lesion_probability, np.asarray(written.dataobj))
    record = record_of(tmp_path / "out", "p1")
    assert found.record["disease_probability"] == record["disease_probability"]
    assert len(found.lesion_table) == record["lesion_count"]
    found.save(tmp_path / "saved")
    saved = {file.name for file in (tmp_path / "saved").iterdir()}
    assert saved == {file.name for file in (tmp_path / "out").iterdir()} - {"predictions.tsv"}
    again = joint_seg_cls.predict(nib.load(path), [made / "0.ckpt"], views="flips", device="cpu")
    np.testing.assert_array_equal(again.maps.lesions, found.maps.lesions)
    with pytest.raises(ScanError, match=r"nibabel\.Nifti1Image\(array, affine\)"):
        joint_seg_cls.predict(np.zeros((4, 4, 4)), made / "0.ckpt", device="cpu")


def test_findings_are_drawn_in_three_planes_with_their_outlines(made):
    found = joint_seg_cls.predict(made / "scans" / "p0.nii.gz", made / "0.ckpt", device="cpu")
    for has_lesion in (True, False):
        lesions = np.zeros_like(found.maps.lesions)
        lesions[10:14, 11:15, 9:12] = has_lesion
        figure = replace(found, maps=replace(found.maps, lesions=lesions)).show(columns=2)
        assert isinstance(figure, Figure)
        panels = [axes.get_images()[0].get_array() for axes in figure.axes]
        assert [panel.shape[:2] for panel in panels] == [(26, 24)] * 2 + [(22, 24)] * 2 + [(22, 26)] * 2
        assert [bool((np.ptp(panel, axis=-1) > 0.1).any()) for panel in panels] == [has_lesion] * 6
        assert figure.get_suptitle() == found.summary
    assert found.summary.startswith("p0: MS 0.")
