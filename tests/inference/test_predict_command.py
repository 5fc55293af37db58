"""`jsc predict` preprocesses a new scan exactly like the training scans."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.inference import Predictor
from joint_seg_cls.metrics import temperature_scaled
from joint_seg_cls.runs.load import load_pipeline
from joint_seg_cls.scan import PreparedStore, read_cohort
from joint_seg_cls.training import amend_recipe, read_checkpoint

SHAPE = (36, 40, 34)
AFFINE = np.array([[-1.1, 0.1, 0, 40], [0.1, -1.2, 0.2, 50], [0, 0.2, 1.4, -30], [0, 0, 0, 1]])
STEPS = ("preprocess/brain=none", "preprocess/bias_field=none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("two modalities")


@pytest.fixture(scope="module")
def run(folder):
    """A network with two modalities, trained for one epoch on six scans; every other scan has a brain mask."""
    from joint_seg_cls.cli.main import main

    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    brain = (((index - [18, 20, 17]) / [14, 16, 13]) ** 2).sum(axis=-1) < 1
    lines = ["subject\tflair\tt1\tbrain_mask\tlesion_mask\tdisease"]
    turned = np.diag([1.3, 1.3, 1.3, 1.0])  # the T1 has another grid
    turned[:3, 3] = AFFINE[:3, :3] @ [18, 20, 17] + AFFINE[:3, 3] - 1.3 * 20
    for number in range(6):
        rng = np.random.default_rng(number)
        has_mask = number % 2 == 0
        flair = rng.normal(100, 20, SHAPE) if has_mask else np.where(brain, rng.normal(100, 20, SHAPE), 0)
        volumes = {
            "flair": (flair.astype(np.float32), AFFINE),
            "t1": (rng.normal(50, 9, (40, 40, 40)).astype(np.float32), turned),
            "lesion": ((np.abs(index - [18, 20 + number, 17]) < 3).all(-1).astype(np.uint8), AFFINE),
            "brain": (brain.astype(np.uint8), AFFINE),
        }
        for name, (data, affine) in volumes.items():
            nib.save(nib.Nifti1Image(data, affine), folder / f"{number}_{name}.nii.gz")
        mask = f"{number}_brain.nii.gz" if has_mask else ""
        files = f"{number}_flair.nii.gz\t{number}_t1.nii.gz\t{mask}\t{number}_lesion.nii.gz"
        lines.append(f"s{number}\t{files}\t{('MS', 'NMOSD')[number % 2]}")
    (folder / "cohort.tsv").write_text("\n".join(lines))
    main(
        ["prepare", f"cohort={folder / 'cohort.tsv'}", f"store={folder / 'store'}", "image_size=32", "workers=0",
         "modalities=[flair,t1]", "preprocess/layout=isotropic_pad", *STEPS]
    )  # fmt: skip
    main(
        ["train", f"data.store={folder / 'store'}", f"runs={folder / 'runs'}", "network.channels=4", "fold=0",
         "protocol=paper", "data.folds.count=2", "data.workers=0", "trainer.max_epochs=1", "tracking=none",
         "trainer.accelerator=cpu"]
    )  # fmt: skip
    return next(folder.glob("runs/*/*/fold-0_seed-0"))


def test_the_input_of_a_training_scan_equals_the_prepared_one(run, folder, jsc, tmp_path, monkeypatch):
    seen = []
    call = Predictor.__call__
    monkeypatch.setattr(
        Predictor, "__call__", lambda self, image, scan: (seen.append(image), call(self, image, scan))[1]
    )
    code, _, err = jsc(
        "predict", f"input={folder / 'cohort.tsv'}", f"checkpoint={run}", f"out={tmp_path / 'out'}", "device=cpu"
    )
    assert code == 0, err
    prepared = PreparedStore(folder / "store").cases
    assert len(seen) == len(prepared) == 6
    for image, case in zip(seen, prepared, strict=True):
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, case.image())
    rows = pd.read_csv(tmp_path / "out" / "predictions.tsv", sep="\t")
    assert list(rows["id"]) == [f"s{number}" for number in range(6)]
    record = json.loads((tmp_path / "out" / "s0.json").read_text())
    assert record["preprocessing"]["brain_how"] == "table"
    assert record["preprocessing"]["modalities"][1]["registration"] == "header"
    assert str(folder) not in json.dumps(record["preprocessing"])


def test_geometry_and_brain_equal_those_of_the_store(run, folder):
    pipeline = load_pipeline(read_checkpoint(run))
    rows = read_cohort(folder / "cohort.tsv", modalities=["flair", "t1"])
    for row, case in zip(rows, PreparedStore(folder / "store").cases, strict=True):
        seen = pipeline.model_input(row.images, row.brain_mask)
        np.testing.assert_array_equal(seen.brain_mask, case.brain_mask())
        np.testing.assert_array_equal(seen.geometry.model.affine, case.geometry.model.affine)


@pytest.mark.parametrize("form", ["one scan", "list of scans"])
def test_files_of_several_modalities_are_given_in_order(run, folder, jsc, tmp_path, form):
    scans = [f"['{folder}/{number}_flair.nii.gz','{folder}/{number}_t1.nii.gz']" for number in (1, 3)]
    value = scans[0] if form == "one scan" else f"[{','.join(scans)}]"
    code, _, err = jsc("predict", f"input={value}", f"checkpoint={run}", f"out={tmp_path / 'out'}", "device=cpu")
    assert code == 0, err
    rows = pd.read_csv(tmp_path / "out" / "predictions.tsv", sep="\t")
    assert list(rows["id"]) == ["1_flair"] if form == "one scan" else ["1_flair", "3_flair"]
    assert nib.load(tmp_path / "out" / "1_flair_lesions.nii.gz").shape == SHAPE


def test_a_brain_mask_needs_a_single_scan(run, folder, jsc, tmp_path):
    one = f"['{folder}/0_flair.nii.gz','{folder}/0_t1.nii.gz']"
    mask = f"brain_mask={folder / '0_brain.nii.gz'}"
    words = f"checkpoint={run}", f"out={tmp_path / 'out'}", "device=cpu", mask
    code, _, err = jsc("predict", f"input={one}", *words)
    assert code == 0, err
    brain_ml = json.loads((tmp_path / "out" / "0_flair.json").read_text())["brain_volume_ml"]
    inside = np.asarray(nib.load(folder / "0_brain.nii.gz").dataobj).sum()
    assert brain_ml == pytest.approx(inside * abs(np.linalg.det(AFFINE)) / 1000, rel=1e-5)
    code, _, err = jsc("predict", f"input=[{one},{one.replace('0_', '2_')}]", *words)
    assert (code, "one scan that it belongs to" in err) == (2, True)


def test_too_few_files_for_the_modalities_are_refused(run, folder, jsc, tmp_path):
    words = f"checkpoint={run}", f"out={tmp_path / 'out'}", "device=cpu"
    code, _, err = jsc("predict", f"input={folder / '0_flair.nii.gz'}", *words)
    assert code == 2
    assert "2 files for each scan: flair, t1" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("change", "says"), [({"preprocess_format": 1}, "format 1"), ({}, "older version")])
def test_a_network_of_another_versions_preprocessing_is_refused(run, folder, jsc, tmp_path, change, says):
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    del content["joint_seg_cls"]["preprocess_format"]
    content["joint_seg_cls"] |= change
    torch.save(content, tmp_path / "old.ckpt")
    with pytest.raises(CheckpointError, match=says):
        load_pipeline(read_checkpoint(tmp_path / "old.ckpt"))
    code, _, err = jsc(
        "predict", f"input={folder / 'cohort.tsv'}", f"checkpoint={tmp_path / 'old.ckpt'}", f"out={tmp_path / 'out'}"
    )
    assert (code, says in err) == (2, True)


def test_audit_findings_of_a_scan_are_printed_and_recorded(run, folder, jsc, tmp_path):
    flair = nib.load(folder / "1_flair.nii.gz")
    data = np.asarray(flair.dataobj).copy()
    data[18, 20, 17] = 1e6
    odd = nib.Nifti1Image(data, None)
    odd.header["pixdim"][1:4] = 1.2
    odd.set_sform(None, 0)
    odd.set_qform(None, 0)
    nib.save(odd, tmp_path / "odd.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(nib.load(folder / "1_t1.nii.gz").dataobj), odd.affine), tmp_path / "t1.nii.gz")
    code, _, err = jsc(
        "predict", f"input=[{tmp_path}/odd.nii.gz,{tmp_path}/t1.nii.gz]", f"checkpoint={run}", f"out={tmp_path}/out",
        "device=cpu",
    )  # fmt: skip
    assert code == 0, err
    warnings = json.loads((tmp_path / "out" / "odd.json").read_text())["warnings"]
    for part in ("left and right are uncertain", "odd.nii.gz has voxels of extreme intensity"):
        assert sum(part in warning for warning in warnings) == 1, warnings
        assert err.count(part) == 1
    assert not any("expected" in warning for warning in warnings)


def test_the_remedy_for_a_misplaced_brain_mask_works(run, folder, jsc, tmp_path):
    mask = nib.load(folder / "0_brain.nii.gz")
    moved = mask.affine.copy()
    moved[2, 3] += 20
    nib.save(nib.Nifti1Image(np.asarray(mask.dataobj), moved), tmp_path / "brain.nii.gz")
    words = [
        "predict", f"input=[{folder}/0_flair.nii.gz,{folder}/0_t1.nii.gz]", f"checkpoint={run}", "device=cpu",
        f"brain_mask={tmp_path}/brain.nii.gz", f"out={tmp_path}/out",
    ]  # fmt: skip
    code, _, err = jsc(*words)
    assert (code, "mask_geometry=scan" in err) == (2, True)
    code, _, err = jsc(*words, "mask_geometry=scan")
    assert code == 0, err


def test_a_record_has_the_diagnosis_its_reasons_the_trust_grade_and_the_explanation(run, folder, jsc, tmp_path):
    torch.save(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True), tmp_path / "hot.ckpt")
    amend_recipe(tmp_path / "hot.ckpt", {"temperature": 50.0, "ranges": {"brain_ml": [1000, 1400]}})
    scan = f"['{folder}/1_flair.nii.gz','{folder}/1_t1.nii.gz']"
    words = f"input={scan}", f"checkpoint={tmp_path / 'hot.ckpt'}", f"out={tmp_path / 'out'}", "device=cpu"
    code, _, err = jsc("predict", *words, "trust_grade=true", "explain=true", "least_probability=0.55")
    assert code == 0, err
    record = json.loads((tmp_path / "out" / "1_flair.json").read_text())
    before = np.array(list(record["uncalibrated_probability"].values()))
    np.testing.assert_allclose(
        list(record["disease_probability"].values()), temperature_scaled(before, 50.0), atol=1e-6
    )
    assert record["diagnosis"] == "indeterminate"
    assert "below 0.55" in record["reasons"][0]
    assert [reason for reason in record["reasons"] if "the brain volume is" in reason]
    assert record["disease"] in ("MS", "NMOSD")
    assert {"grade", "recovery", "seconds", "reason"} == set(record["trust"])
    assert {"location_map", "grad_cam", "deletion", "seconds"} == set(record["explanation"])
    assert nib.load(tmp_path / "out" / "1_flair_grad-cam.nii.gz").shape == SHAPE
    row = pd.read_csv(tmp_path / "out" / "predictions.tsv", sep="\t").iloc[0]
    assert row["diagnosis"] == "indeterminate"
    assert row["reasons"] == "; ".join(record["reasons"])
    code, _, err = jsc("predict", *words, "least_probability=2")
    assert (code, "from 0 to 1" in err) == (2, True)
