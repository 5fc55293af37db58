"""Prediction on real brain FLAIR by a network trained on simulated patients."""

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SCANS = os.environ.get("JSC_TEST_SCANS")
pytestmark = pytest.mark.skipif(
    not SCANS, reason="JSC_TEST_SCANS does not name a folder with open_ms/stripped/*_flair.nii.gz (real scans)"
)


def stripped_scans():
    return sorted(Path(SCANS or ".").glob("open_ms/stripped/*_flair.nii.gz"))


@pytest.fixture(scope="module")
def checkpoint(make_store, tiny, tmp_path_factory):
    """A network trained for one epoch on tiny cases, which the record of their store describes as extracted by BET."""
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("toy")
    record = make_store(folder / "store", side=32) / "store.json"
    store = json.loads(record.read_text())
    store["settings"]["brain"] = {
        "_target_": "joint_seg_cls.preprocess.ExtractedBrain",
        "extractor": {"_target_": "joint_seg_cls.preprocess.Bet", "threshold": 0.5, "scalp": 1.65},
    }
    record.write_text(json.dumps(store))
    main(["train", f"data.store={folder / 'store'}", f"runs={folder / 'runs'}", "fold=0", *tiny])
    return next((folder / "runs").glob("*/*/fold-0_seed-0"))


def test_outputs_have_the_scans_grid(checkpoint, jsc, tmp_path):
    scans = stripped_scans()
    assert scans
    given = f"input=[{','.join(map(str, scans))}]"
    code, _, err = jsc("predict", given, f"checkpoint={checkpoint}", f"out={tmp_path}", "page=false")
    assert code == 0, err
    for scan in scans:
        source, name = nib.load(scan), scan.name.removesuffix(".nii.gz")
        for output in ("lesions", "lesion-probability", "location-map"):
            written = nib.load(tmp_path / f"{name}_{output}.nii.gz")
            assert written.shape == source.shape
            np.testing.assert_array_equal(written.affine, source.affine)
            assert nib.aff2axcodes(written.affine) == nib.aff2axcodes(source.affine)
        record = json.loads((tmp_path / f"{name}.json").read_text())
        assert sum(record["disease_probability"].values()) == pytest.approx(1)
        assert 900 < record["brain_volume_ml"] < 1900
        outside = np.asarray(source.dataobj) == 0
        assert np.asarray(nib.load(tmp_path / f"{name}_lesions.nii.gz").dataobj)[outside].mean() < 0.01
    assert (tmp_path / "predictions.tsv").read_text().count("\n") == len(scans) + 1


def test_a_raw_scan_with_skull_is_predicted_on_its_own_grid(checkpoint, jsc, tmp_path):
    raw = sorted(Path(SCANS or ".").glob("open_ms/raw/*_study1_flair.nii.gz"))[0]
    mask = raw.with_name(raw.name.replace("_flair", "_brain_mask"))
    name, source, brain_ml = raw.name.removesuffix(".nii.gz"), nib.load(raw), {}
    for how, words in (("bet", ()), ("table", (f"brain_mask={mask}", "page=false"))):
        out = tmp_path / how
        code, _, err = jsc("predict", f"input={raw}", f"checkpoint={checkpoint}", f"out={out}", *words)
        assert code == 0, err
        record = json.loads((out / f"{name}.json").read_text())
        assert record["preprocessing"]["brain_how"] == how
        brain_ml[how] = record["brain_volume_ml"]
        for output in ("lesions", "lesion-probability", "location-map"):
            written = nib.load(out / f"{name}_{output}.nii.gz")
            assert written.shape == source.shape
            np.testing.assert_array_equal(written.affine, source.affine)
            for field in ("qform_code", "sform_code", "xyzt_units", "pixdim"):
                np.testing.assert_array_equal(written.header[field], source.header[field])
    assert brain_ml["bet"] == pytest.approx(brain_ml["table"], rel=0.15)
