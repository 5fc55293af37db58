"""Three diseases and two modalities go through every command and report."""

import json

import numpy as np
import pandas as pd
import pytest

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
    pair = [f"{site}/okapiperson2_{name}.nii.gz" for name in ("flair", "t1")]
    out = tmp_path / "predicted"
    done("predict", f"input=[{','.join(pair)}]", f"checkpoint={run}", f"out={out}", "device=cpu")
    record = json.loads((out / "okapiperson2_flair.json").read_text())
    assert list(record["disease_probability"]) == CLASSES
    assert record["disease"] == max(record["disease_probability"], key=record["disease_probability"].get)
    done("report", "study=three", f"runs={site}/runs", f"out={tmp_path}/report", "resamples=20", "device=cpu")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "control" in page
