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
def checkpoint(tmp_path_factory):
    """A toy network trained for seconds on a toy cohort; the test is about geometry, not about the masks."""
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("toy")
    main(["phantom", f"out={folder / 'cohort'}", "subjects=12", "spacing_mm=2", "workers=0"])
    main(
        [
            "prepare",
            f"cohort={folder / 'cohort' / 'cohort.tsv'}",
            f"store={folder / 'store'}",
            "image_size=32",
            "preprocess/bias_field=none",
            "workers=0",
        ]
    )
    main(
        [
            "train",
            f"data.store={folder / 'store'}",
            f"runs={folder / 'runs'}",
            "experiment=toy",
            "tracking=none",
            "data.workers=0",
        ]
    )
    return next((folder / "runs").glob("*/*/fold-0_seed-0"))


def test_outputs_have_the_scans_grid(checkpoint, jsc, tmp_path):
    scans = stripped_scans()
    assert scans
    code, _, err = jsc("predict", f"input=[{','.join(map(str, scans))}]", f"checkpoint={checkpoint}", f"out={tmp_path}")
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
    for how, words in (("bet", ()), ("table", (f"brain_mask={mask}",))):
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
