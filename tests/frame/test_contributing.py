"""The recipes of CONTRIBUTING.md work as printed."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

PAGE = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|yaml)\n# (my_\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write all files of the page; return the folder of the configurations."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "my_conf"


def test_every_extension_point_has_a_recipe():
    folders = {Path(name).parent.as_posix() for name in FILES}
    groups = "ablation network loss callbacks data/augmentation scheduler tracking source preprocess/bias_field"
    assert folders == {".", *(f"my_conf/{group}" for group in groups.split())}


@pytest.fixture
def train(jsc, own, store, tmp_path):
    """Return a function that trains two epochs with further words and returns the run folder."""

    def run(*words):
        code, _, err = jsc(
            "train", f"--config-dir={own}", f"data.store={store}", f"runs={tmp_path / 'runs'}",
            "data.folds.count=2", "data.workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=2", *words,
        )  # fmt: skip
        assert code == 0, err
        (folder,) = (tmp_path / "runs").glob("*/*/fold-0_seed-0")
        return folder

    return run


def test_custom_parts_are_trained_together(train):
    run = train(
        "network=mine", "loss=mine", "callbacks=mine", "data/augmentation=mine", "scheduler=mine", "tracking=team"
    )
    table = pd.read_csv(run / "metrics.csv")
    assert table["val/lesion_share"].between(0, 1).all()
    assert table["lr"].tolist() == pytest.approx([1e-5, 1e-4])
    assert "val/lesion_share" in pd.read_csv(run / "team" / "version_0" / "metrics.csv")
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    parts = [config["callbacks"]["lesion_share"], config["data"]["augmentation"]]
    parts += [config[group] for group in ("network", "loss", "tracking")]
    assert all(part["_target_"].startswith("my_parts.") for part in parts)
    assert "callbacks-mine" in run.parent.name


def test_a_custom_ablation_composes(jsc, own):
    code, out, _ = jsc("train", f"--config-dir={own}", "ablation=dot_4", "data.store=x", "--cfg", "job")
    config = yaml.safe_load(out)
    assert (code, config["data"]["batch_size"]) == (0, 4)
    assert config["network"]["guidance"]["_target_"].endswith("DotGuidance")


def test_a_custom_source_and_preprocessing_step_make_a_store(jsc, own, tmp_path):
    rng = np.random.default_rng(0)
    for subject in ("a", "b"):
        (tmp_path / "scans" / subject).mkdir(parents=True)
        image, lesions = np.zeros((40, 44, 36), np.float32), np.zeros((40, 44, 36), np.uint8)
        image[8:32, 8:36, 8:28] = rng.uniform(50, 100, (24, 28, 20))
        lesions[15:19, 15:20, 12:16] = 1
        affine = np.diag([3.0, 3.0, 4.0, 1.0])
        nib.Nifti1Image(image, affine).to_filename(tmp_path / "scans" / subject / "flair.nii.gz")
        nib.Nifti1Image(lesions, affine).to_filename(tmp_path / "scans" / subject / "lesions.nii.gz")
    table, store = tmp_path / "cohort.tsv", tmp_path / "store"
    code, _, err = jsc("cohort", f"--config-dir={own}", "source=clinic", f"path={tmp_path / 'scans'}", f"out={table}")
    assert code == 0, err
    code, _, err = jsc(
        "prepare", f"--config-dir={own}", f"cohort={table}", f"store={store}", "preprocess/bias_field=clip",
        "preprocess/brain=none", "image_size=16", "workers=0",
    )  # fmt: skip
    assert code == 0, err
    assert "my_parts.Clip" in "".join(path.read_text() for path in store.glob("*.json"))


def test_a_custom_reader_writes_a_cohort_table(jsc, own, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("one", "two"):
        nib.Nifti1Image(np.ones((8, 9, 7), np.float32), np.eye(4)).to_filename(scans / f"{name}.nii.gz")
    (scans / "visits.csv").write_text("patient,file,diagnosis\na,one.nii.gz,MS\nb,two.nii.gz,NMOSD\n")
    table = tmp_path / "cohort.tsv"
    code, _, err = jsc("cohort", f"--config-dir={own}", "source=visits", f"path={scans}", f"out={table}")
    assert code == 0, err
    rows = pd.read_csv(table, sep="\t", dtype=str)
    assert rows[["subject", "disease"]].to_numpy().tolist() == [["a", "MS"], ["b", "NMOSD"]]
    assert [Path(name).name for name in rows["flair"]] == ["one.nii.gz", "two.nii.gz"]
