"""`jsc check`: page, record and exit code; and the same audit before a training."""

import base64
import json
import re

import nibabel as nib
import numpy as np
import pytest

SMALL = ("network.channels=4", "tracking=none", "data.workers=0", "data.folds.count=2", "trainer.max_epochs=1")
SMALL += ("trainer.accelerator=cpu", "data.validation_fraction=0.25")


@pytest.fixture
def cohort(tmp_path):
    """Three scans of stripped heads with a lesion each; returns the table."""
    affine = np.diag([-6.0, -6, 6, 1])
    affine[:3, 3] = 90, 100, -80
    lines = ["subject\tflair\tlesion_mask\tdisease\tsite"]
    offsets = np.moveaxis(np.indices((30, 34, 28)), 0, -1) - (14.5, 16.5, 13.5)
    brain = np.linalg.norm(offsets / (11, 13, 10), axis=-1) < 1
    for number in range(3):
        scan = np.random.default_rng(number).integers(300, 700, brain.shape).astype(np.int16) * brain
        lesion = np.zeros(brain.shape, np.uint8)
        lesion[8:12, 15:18, 12:15] = 1
        scan[lesion > 0] = 900 + np.arange(36)
        for kind, data in (("flair", scan), ("mask", lesion)):
            nib.save(nib.Nifti1Image(data.astype(np.int16), affine), tmp_path / f"{number}_{kind}.nii.gz")
        lines.append(f"<s{number}>\t{number}_flair.nii.gz\t{number}_mask.nii.gz\t{('MS', 'NMOSD')[number % 2]}\tnorth")
    path = tmp_path / "cohort.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def rewrite(path, change):
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(np.asarray(image.dataobj)), image.affine), path)


def test_a_valid_cohort_passes_and_gets_a_single_file_page(jsc, cohort, tmp_path):
    code, out, err = jsc("check", f"cohort={cohort}", f"out={tmp_path / 'audit'}", "workers=0")
    assert code == 0, err
    assert "3 scans of 3 subjects: 0 errors" in out
    assert "Patients" in out
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == ["audit.html", "audit.json"]
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|<script|<link", page)
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 3
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    assert "&lt;s0&gt;" in page or "-s0-" in page
    assert "<s0>" not in page
    for title in ("Findings", "Patients", "Acquisition", "Lesions by class"):
        assert title in page
    record = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert (record["counts"]["errors"], record["audits"][0]["scans"]) == (0, 3)


def test_an_error_ends_with_code_2_after_everything_is_written(jsc, cohort, tmp_path):
    rewrite(tmp_path / "0_mask.nii.gz", lambda data: (data * 255).astype(np.uint8))
    (tmp_path / "1_flair.nii.gz").write_bytes(b"nothing")
    code, out, err = jsc("check", f"cohort={cohort}", f"out={tmp_path / 'audit'}", "workers=0")
    assert code == 2
    assert "2 errors" in out
    assert "lesion_value=255" in out
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "and 1 more" in line
    record = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert [(one["severity"], one["check"]) for one in record["findings"][:2]] == [
        ("error", "mask values"),
        ("error", "files"),
    ]
    assert {"severity", "check", "cases", "file", "expected", "found", "remedy"} <= record["findings"][0].keys()
    assert (tmp_path / "audit" / "audit.html").read_text().count("data:image/png") == 2


@pytest.mark.parametrize("word", ["lesion_value=255", "accept=[mask values]"])
def test_the_suggested_remedies_work(jsc, cohort, tmp_path, word):
    for number in range(3):
        rewrite(tmp_path / f"{number}_mask.nii.gz", lambda data: (data * 255).astype(np.uint8))
    code, _, err = jsc("check", f"cohort={cohort}", f"out={tmp_path / 'audit'}", "workers=0", word)
    assert code == 0, err
    if "value" in word and "lesion" in word:
        code, _, err = jsc(
            "prepare", f"cohort={cohort}", f"store={tmp_path / 'store'}", "image_size=16", "workers=0", word
        )
        assert code == 0, err
        mask = np.load(next((tmp_path / "store").glob("*/lesion_mask.npy")))
        assert mask.sum() > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a value for cohort or store"),
        (("cohort=none.tsv",), "no such file"),
        (("store=none",), "store.json"),
        (("store={store}", "protocol=none"), "none"),
        (("store={store}", "out={file}"), "a file"),
    ],
)
def test_an_invalid_source_is_one_sentence_and_writes_nothing(jsc, store, tmp_path, monkeypatch, words, message):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = jsc("check", *(word.format(store=store, file=tmp_path / "file") for word in words))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["audit.html", "audit.json"])
def test_a_page_or_record_of_other_origin_is_kept(jsc, cohort, tmp_path, name):
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text("notes of a user")
    code, printed, err = jsc("check", f"cohort={cohort}", f"out={out}", "workers=0")
    assert (code, printed, err.count("\n")) == (2, "", 1)
    assert "a file of other origin" in err
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, "notes of a user")]
    (out / name).unlink()
    assert [jsc("check", f"cohort={cohort}", f"out={out}", "workers=0")[0] for _ in range(2)] == [0, 0]


def test_a_store_is_checked_with_its_folds(jsc, store, tmp_path):
    out_folder = tmp_path / "audit"
    code, out, err = jsc("check", f"store={store}", "data.folds.count=4", f"out={out_folder}", "workers=0")
    assert code == 0, err
    assert "Folds: strict-4_seed-0_validation-0.2" in out
    record = json.loads((out_folder / "audit.json").read_text())
    assert record["audits"][0]["folds_hash"] in (out_folder / "audit.html").read_text()
    assert not (store / "splits").exists()  # checking does not freeze folds
    code, out, err = jsc("check", f"store={store}", f"out={out_folder}", "workers=0")
    assert code == 0, err
    assert (
        "labels" in out
    )  # five folds of four subjects of a class: a warning, for a segmentation may be trained on them


def test_cohort_and_store_share_a_page(jsc, cohort, tmp_path):
    words = ("image_size=16", "workers=0")
    assert jsc("prepare", f"cohort={cohort}", f"store={tmp_path / 'store'}", *words)[0] == 0
    (tmp_path / "split.json").write_text('{"train": ["<s0>", "<s1>"], "test": ["<s2>"]}')
    code, _out, err = jsc(
        "check", f"cohort={cohort}", f"store={tmp_path / 'store'}", f"out={tmp_path / 'audit'}", "workers=0",
        "data/folds=file", f"data.folds.path={tmp_path / 'split.json'}", "data.folds.allow=[empty_class]",
        "protocol=paper",
    )  # fmt: skip
    assert code == 0, err
    record = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert len(record["audits"]) == 2
    assert (tmp_path / "audit" / "audit.html").read_text().count("data:image/png") == 6


def test_an_error_stops_training_before_anything_is_written_and_can_be_accepted(jsc, store, edit_case, tmp_path):
    import shutil

    shutil.copy(store / "s2" / "image.npy", store / "s4" / "image.npy")
    edit_case(store / "s4")
    words = ("train", f"data.store={store}", f"runs={tmp_path / 'runs'}", *SMALL)
    code, _, err = jsc(*words)
    assert code == 2
    assert "the same voxels in s2 and s4, under 2 subjects" in err
    assert not (tmp_path / "runs").exists()
    code, out, err = jsc(*words, "accept=[duplicates,leakage]")
    assert code == 0, err
    (run,) = (tmp_path / "runs").glob("store/*/fold-0_seed-0")
    assert "accept" not in run.parent.name
    kept = json.loads((run / "audit.json").read_text())
    assert "duplicates" in {one["check"] for one in kept["findings"] if one["severity"] == "warning"}
    below = out[out.index("DSC") :]
    assert "warning: duplicates: s2, s4" in below
    assert kept["folds_hash"] == json.loads((run / "provenance.json").read_text())["identity"]["folds_hash"]
    assert f"folds {kept['folds_hash']}" in out
    code, out, _ = jsc("evaluate", f"run={run}", "device=cpu", "fold=1")
    assert code == 0
    assert "warning: duplicates: s2, s4" in out
    assert f"folds {kept['folds_hash']}" in out
