"""A subject whose name is a formula is processed from cohort table to report, and no table contains the formula."""

import csv
import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.report.per_case import read_per_case
from joint_seg_cls.scan import read_cohort
from joint_seg_cls.scan.readers import Found, FoundScan, write_cohort_table

NAMES = ["@x", "-01", "=HYPERLINK(1)", "+1+cmd|' /C calc'!A0", "'=quoted", "plain"]


def dangerous(path):
    """Return the cells of a table that a spreadsheet would take for a formula."""
    separator = "\t" if path.suffix == ".tsv" else ","
    cells = [one for row in csv.reader(io.StringIO(path.read_text()), delimiter=separator) for one in row]
    return [
        one
        for one in cells
        if one[:1] in ("=", "+", "-", "@", "\t", "\r") and not one.lstrip("+-").replace(".", "").isdigit()
    ]


def test_a_cohort_table_returns_subjects_columns_and_paths(tmp_path):
    folder = tmp_path / "-scans"
    folder.mkdir()
    scans = []
    for number, name in enumerate(NAMES):
        file = folder / f"={number}.nii.gz"
        nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), file)
        scans.append(FoundScan(name, None, {"flair": file}, "MS", {"=site": name}))
    out = tmp_path / "cohort.tsv"
    written = write_cohort_table(Found(tuple(scans)), out, classes=("MS", "NMOSD"))
    assert dangerous(out) == []
    for cases in (written, read_cohort(out)):
        assert [case.subject for case in cases] == NAMES
        assert [case.columns["=site"] for case in cases] == NAMES
        assert all(case.images[0].is_file() for case in cases)


def test_a_mutated_test_table_is_read_unchanged_or_refused(tmp_path):
    from joint_seg_cls.evaluation import write_evaluation

    rows = pd.DataFrame({
        "case": NAMES, "subject": NAMES, "session": "", "fold": 0, "disease": "MS", "p_MS": 0.25, "p_NMOSD": 0.75,
        "dsc": [0.5, -1.5, np.nan, 0, 1, 1],
    })  # fmt: skip
    write_evaluation(rows, pd.DataFrame({"metric": ["DSC"], "value": [-1.5]}), tmp_path)
    assert dangerous(tmp_path / "per_case.csv") == []
    again = read_per_case(tmp_path / "per_case.csv", len(NAMES))
    assert list(again["case"]) == list(again["subject"]) == NAMES
    assert again["dsc"].tolist()[:2] == [0.5, -1.5]


def test_predictions_and_the_key_to_pseudonyms_contain_no_formulas(tmp_path):
    from joint_seg_cls.inference import write_predictions
    from joint_seg_cls.scan.readers.pseudonyms import KEY_COLUMNS, key_text, read_key

    records = [
        {"id": name, "scan": f"{name}.nii.gz", "brain_volume_ml": 1.0, "warnings": [name], "disease": "=MS"}
        for name in NAMES
    ]
    write_predictions(records, tmp_path)
    assert dangerous(tmp_path / "predictions.tsv") == []
    rows = [("sub-001", "", name, "", f"{number}", name, "yes") for number, name in enumerate(NAMES)]
    (tmp_path / "key.tsv").write_text(key_text(rows, []))
    assert dangerous(tmp_path / "key.tsv") == []
    assert {row["patient"] for row in read_key(tmp_path / "key.tsv")} == set(NAMES)
    assert len(KEY_COLUMNS) == len(rows[0])


def test_names_of_metrics_contain_no_formulas(tmp_path):
    from joint_seg_cls.training.callbacks import EpochTable

    table = EpochTable(tmp_path / "metrics.csv")
    row = {"epoch": "0", "-loss": "1.5", "=HYPERLINK(1)": "-2"}
    table.restore({"callbacks": {table.state_key: {"rows": [row]}}})
    assert dangerous(tmp_path / "metrics.csv") == []
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["epoch,'-loss,'=HYPERLINK(1)", "0,1.5,-2"]


@pytest.mark.slow
def test_formulas_are_text_in_every_table_of_the_chain(jsc, store, tmp_path):
    import json

    record = json.loads((store / "store.json").read_text())
    for number, name in enumerate(NAMES):
        path = store / f"s{number}" / "case.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"subject": name}))
    assert len(record["cases"]) > len(NAMES)
    words = (
        f"data.store={store}", f"runs={tmp_path / 'runs'}", "network.channels=4", "tracking=csv", "data.workers=0",
        "data.folds.count=2", "protocol=paper", "trainer.max_epochs=1", "trainer.accelerator=cpu",
    )  # fmt: skip
    for fold in (0, 1):
        code, _, err = jsc("train", *words, f"fold={fold}")
        assert code == 0, err
    code, _, err = jsc("report", "collection=store", f"runs={tmp_path / 'runs'}", "resamples=50", "figures=false")
    assert code == 0, err
    tables = [*tmp_path.rglob("*.csv"), *tmp_path.rglob("*.tsv")]
    assert {"per_case.csv", "pooled.csv", "checklist.csv", "cases.csv"} <= {path.name for path in tables}
    assert [(path.name, dangerous(path)) for path in tables if dangerous(path)] == []
    tested = [read_per_case(path) for path in (tmp_path / "runs").glob("store/*/*/per_case.csv")]
    assert set(NAMES) <= set(pd.concat(tested)["subject"])
