"""Three diseases and two modalities go through every command and report."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.training import amend_recipe, read_checkpoint

CLASSES = ["MS", "NMOSD", "control"]


@pytest.mark.slow
def test_a_cohort_of_three_diseases_is_audited_trained_tested_predicted_and_reported(site, run, jsc, tmp_path):
    def done(*words):
        code, out, err = jsc(*words)
        assert code == 0, err
        return out

    kinds = (f"classes=[{','.join(CLASSES)}]", "modalities=[flair,t1]")
    said = done("check", f"cohort={site}/cohort.tsv", f"out={tmp_path}/audit", "workers=0", "pictures=3", *kinds)
    assert "control" in said
    rows = pd.read_csv(run / "per_case.csv")
    np.testing.assert_allclose(rows[[f"p_{name}" for name in CLASSES]].sum(axis=1), 1, atol=1e-5)
    assert set(rows["disease"]) == set(CLASSES)
    assert rows.loc[rows["disease"] == "control", "dsc"].isna().all(), "no reference lesion, so no Dice"
    done("evaluate", f"run={run}", f"cohort={site}/cohort.tsv", "device=cpu", "name=all")
    tested = pd.read_csv(run / "evaluations" / "all" / "summary.csv").set_index("metric")
    assert tested.loc["ACC", "n"] == 12
    assert 0 <= tested.loc["AUC", "value"] <= 1
    assert read_checkpoint(run).recipe.lesion_free == ("control",)
    pair = [f"{site}/okapiperson2_{name}.nii.gz" for name in ("flair", "t1")]
    out = tmp_path / "predicted"
    more = ("device=cpu", "trust_grade=true", "explain=true", "views=flips")
    done("predict", f"input=[{','.join(pair)}]", f"checkpoint={run}", f"out={out}", *more)
    record = json.loads((out / "okapiperson2_flair.json").read_text())
    assert list(record["disease_probability"]) == CLASSES
    assert record["disease"] == max(record["disease_probability"], key=record["disease_probability"].get)
    page = (out / "okapiperson2_flair.html").read_text()
    assert all(f"<span>{name}</span>" in page for name in CLASSES)
    assert re.findall(r'data-image="([^"]+)"[^>]*> (\w+)</label>', page) == [("image", "FLAIR"), ("image-2", "T1")]
    assert (out / "okapiperson2_flair.pdf").read_bytes().startswith(b"%PDF")
    assert "okapiperson2_flair" in (out / "index.html").read_text()
    done("report", "study=three", f"runs={site}/runs", f"out={tmp_path}/report", "resamples=20", "device=cpu")
    page = (tmp_path / "report" / "index.html").read_text()
    for part in ("control", "Calibration of the diagnosis", "Coverage and accuracy", "Audit of the explanations"):
        assert part in page
    coverage = pd.read_csv(tmp_path / "report" / "tables" / "coverage.csv")
    assert coverage["share answered"].str.match(r"[01]\.\d{3}").all()
    assert "Lesions by anatomical region" in page.split("<strong>Missing</strong>")[1], "brains of 8 mL fit no template"


@pytest.mark.slow
@pytest.mark.parametrize("disease", ["control", "MS"])
def test_a_scan_without_lesions_has_a_page_that_makes_sense(site, run, jsc, tmp_path, disease):
    """With a threshold that no voxel reaches: a diagnosis is given where most such people have no lesion."""
    pair = [f"{site}/okapiperson{CLASSES.index(disease)}_{name}.nii.gz" for name in ("flair", "t1")]
    weights = tmp_path / "none.ckpt"
    weights.write_bytes(read_checkpoint(run).path.read_bytes())
    amend_recipe(weights, {"lesion_threshold": 1.0, "lesion_free": [disease], "intensities": {}, "ranges": {}})
    words = (f"input=[{','.join(pair)}]", f"checkpoint={weights}", "device=cpu", "least_probability=0.0")
    code, _, err = jsc("predict", *words, f"out={tmp_path / 'out'}")
    assert code == 0, err
    name = f"okapiperson{CLASSES.index(disease)}_flair"
    record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert record["lesion_count"] == 0
    needs_lesions = record["disease"] != disease
    assert ("no lesion was segmented" in record["reasons"]) == needs_lesions
    page = (tmp_path / "out" / f"{name}.html").read_text()
    assert "No lesion found" in page
    assert "Evenly spread slices" in page
    assert "Lesion table" not in page
    assert ("no lesion was segmented" in page) == needs_lesions
