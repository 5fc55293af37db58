"""``jsc report`` on simulated run folders: tables, claims, checklist, page, and missing parts."""

import json
import math
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml

from joint_seg_cls.audit import Audit, Finding, Table, write_audit
from joint_seg_cls.metrics import accuracy, auc
from joint_seg_cls.report.circumstances import disjoint, protocol
from joint_seg_cls.report.claims import holm
from joint_seg_cls.report.latex import plain_latex
from joint_seg_cls.report.published import published_tables
from joint_seg_cls.report.runs import ReportRun

SCANS = 36
QUICK = ("figures=false", "resamples=40")
DEALT = {"_target_": "joint_seg_cls.data.Folds", "kind": "strict"}


@pytest.fixture
def study(tmp_path):
    """Return a function that adds a run to a study and writes the study's list."""
    runs = []

    def add(base, fold, *, seed=0, state="done", settings=(), better=0.0, name="mine", tables=()):
        variant = "+".join([base, *settings])
        place = f"{variant}/fold-{fold}_seed-{seed}"
        line = {"folder": place, "variant": variant, "base": base, "settings": list(settings)}
        runs.append(line | {"fold": fold, "seed": seed, "overrides": []})
        folder = tmp_path / "runs" / "store" / place
        if state != "waiting":
            folder.mkdir(parents=True)
            _rows(base, fold, seed, better).to_csv(folder / "per_case.csv", index=False)
            _circumstances(folder, tmp_path)
            (folder / "FAILED" if state == "failed" else folder / "DONE").write_text("now\nout of memory\n")
        path = tmp_path / "runs" / "store" / "studies" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"study": name, "created_by": "", "tables": list(tables), "runs": runs}))
        return folder

    return add


def _rows(base, fold, seed, better):
    """Two scans per subject; per fold one without lesions, and one with all lesions missed."""
    numbers = np.array([one for one in range(SCANS) if one // 2 % 3 == fold])
    shared, own = np.random.default_rng(fold), np.random.default_rng([len(base), ord(base[0]), fold, seed])
    disease = np.where(numbers // 2 % 2 == 0, "MS", "NMOSD")
    score = np.clip(
        0.5 * (disease == "NMOSD") + 0.5 * shared.random(len(numbers)) + 0.1 * own.random(len(numbers)), 0, 1
    )
    dsc = 0.4 + 0.2 * shared.random(len(numbers)) + 0.05 * own.random(len(numbers)) + better
    rows = pd.DataFrame({"case": [f"c{one}" for one in numbers], "subject": [f"p{one // 2}" for one in numbers]})
    rows["session"], rows["fold"], rows["disease"] = "", fold, disease
    rows["p_MS"], rows["p_NMOSD"] = (np.nan, np.nan) if base == "only_seg" else (1 - score, score)
    for name, values in {"dsc": dsc, "ppv": dsc + 0.01, "tpr": dsc - 0.01, "vd": 1 - dsc}.items():
        rows[name] = np.nan if base == "only_cls" else values
    rows["lesions_reference"], rows["volume_predicted_ml"] = 3, 1.0
    rows.loc[0, ["dsc", "ppv", "tpr", "vd", "lesions_reference", "volume_predicted_ml"]] = [np.nan] * 4 + [0, 2.0]
    rows.loc[1, "ppv"] = np.nan
    if base != "only_cls":
        rows["lesion_f1"], rows["hd95_mm"] = dsc / 2, 10 - dsc
        rows["isbi_ltpr"], rows["isbi_lfpr"], rows["volume_reference_ml"] = dsc, 0.3, 1 + numbers
        rows["volume_predicted_ml"] = np.where(rows.index == 0, 2.0, 2 + dsc)
        rows["lesions_reference_10_to_100_mm3"], rows["lesions_detected_10_to_100_mm3"] = 1 + numbers % 3, numbers % 2
    return rows


def _circumstances(folder, tmp_path):
    epochs = np.arange(20)
    losses = {"train/loss/total": 0.5 + np.exp(-epochs / 2.0)}
    pd.DataFrame({"epoch": epochs, "seconds": 1.0, **losses}).to_csv(folder / "metrics.csv", index=False)
    config = {
        "data": {"store": str(tmp_path / "store"), "batch_size": 2, "folds": DEALT},
        "protocol": {"name": "strict", "folds": "strict", "weights": "best"},
        "trainer": {"max_epochs": 20},
        "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.001},
        "network": {"_target_": "joint_seg_cls.networks.JointNetwork", "image_size": [32, 32, 32]},
        "init_from": None,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "provenance.json").write_text(json.dumps({"identity": {"data_hash": "d1", "folds_hash": "f1"}}))
    found = Finding("warning", "confounding", "a disease that is not told by the site", "AUC 0.9", "look at it")
    people = Table("Patients", ["disease", "subjects"], [["MS", "9"]], "at their first scan")
    write_audit(Audit("store", SCANS, 18, (found,), (people,), data_hash="d1", folds_hash="f1"), folder / "audit.json")


def report_of(tmp_path, name="mine"):
    return tmp_path / "runs" / "store" / "studies" / name


def words_of(tmp_path):
    return ("report", "study=mine", f"runs={tmp_path / 'runs'}", f"out={tmp_path / 'mine'}", *QUICK)


#: Files of a user under names that a report writes or deletes.
FOREIGN = ("index.html", "report.json", "claims.csv", "tables/table-3.md", "figures/figure-08.png", "tables", "figures")


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_with_files_of_other_origin_is_kept(study, jsc, tmp_path, name):
    study("joint", 0)
    file = tmp_path / "mine" / name
    file.parent.mkdir(parents=True)
    file.write_text('"made_with" joint_seg_cls: notes of a user')
    code, printed, err = jsc(*words_of(tmp_path))
    assert (code, printed, err.count("\n")) == (2, "", 1)
    assert "of other origin" in err
    kept = [path.read_text() for path in (tmp_path / "mine").rglob("*") if path.is_file()]
    assert kept == ['"made_with" joint_seg_cls: notes of a user']


@pytest.mark.parametrize("name", ["claims.csv", "explanations.csv", "tables/table-9.csv", "figures/figure-08.png"])
def test_a_later_file_of_a_user_in_the_folder_of_a_report_is_kept(study, jsc, tmp_path, name):
    study("joint", 0)
    assert jsc(*words_of(tmp_path))[0] == 0
    file = tmp_path / "mine" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("notes of a user")
    before = {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    code, _, err = jsc(*words_of(tmp_path))
    assert (code, f"{name}: expected no file" in err) == (2, True), err
    assert {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()} == before
    file.rename(tmp_path / "elsewhere")
    assert jsc(*words_of(tmp_path))[0] == 0


def test_a_report_is_written_again_also_where_its_page_is_missing_or_it_was_stopped(study, jsc, tmp_path):
    study("joint", 0)
    study("no_share", 0)
    assert jsc(*words_of(tmp_path))[0] == 0
    record = json.loads((tmp_path / "mine" / "report.json").read_text())
    assert {"claims.csv", "tables/table-7.csv", "index.html"} <= set(record["files"])
    study("only_local", 0)
    (tmp_path / "mine" / "index.html").unlink()
    assert jsc(*words_of(tmp_path))[0] == 0
    assert (tmp_path / "mine" / "index.html").is_file()
    del record["files"]  # as if the command had been stopped in between
    (tmp_path / "mine" / "report.json").write_text(json.dumps(record))
    (tmp_path / "mine" / "claims.csv").write_text("half")
    assert jsc(*words_of(tmp_path))[0] == 0
    assert (tmp_path / "mine" / "claims.csv").read_text() != "half"


def test_a_table_has_means_over_folds_and_published_values(study, jsc, tmp_path):
    folders = {base: [study(base, fold, better=0.1 * (base == "joint")) for fold in range(3)]
               for base in ("only_local", "joint")}  # fmt: skip
    code, out, _ = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0
    table = pd.read_csv(report_of(tmp_path) / "tables" / "table-7.csv").set_index("base")
    by_fold = [pd.read_csv(folder / "per_case.csv") for folder in folders["joint"]]
    means = [rows["dsc"].mean() for rows in by_fold]
    assert table.loc["joint", "DSC"] == pytest.approx(np.mean(means), rel=1e-5)
    assert table.loc["joint", "DSC sd folds"] == pytest.approx(np.std(means, ddof=1), rel=1e-4)
    chance = [rows[["p_MS", "p_NMOSD"]].to_numpy() for rows in by_fold]
    truth = [(rows["disease"] == "NMOSD").astype(int).to_numpy() for rows in by_fold]
    for name, over in (("AUC", auc), ("ACC", accuracy)):
        expected = np.mean([over(one, other) for one, other in zip(chance, truth, strict=True)])
        assert table.loc["joint", name] == pytest.approx(expected, rel=1e-5)
    assert table.loc["joint", ["DSC scans", "PPV scans", "scans"]].tolist() == [33, 30, 36]
    published = "DSC published (Jilin + ISBI-2015, private: not comparable)"
    assert table[published].to_dict() == {
        "no_share": 0.7198,
        "only_local": 0.738,
        "only_global": 0.7204,
        "joint": 0.7487,
    }
    assert table["converged"].to_dict()["joint"] == "yes"
    assert math.isnan(table.loc["only_global", "DSC"])
    text = (report_of(tmp_path) / "tables" / "table-7.md").read_text()
    for part in ("92.36", "outside the range of SN and SP", "private: not comparable", "Protocol: strict",
                 "Empty masks:", "3 scans, 0% predicted empty, 2.00 mL", "One seed: p and",
                     "PPV over 30", "**74.87**", "<u>73.80</u>"):  # fmt: skip
        assert part in text
    assert f"**{100 * np.mean(means):.2f} ± {100 * np.std(means, ddof=1):.2f}" in text
    assert "Joint Model > Only local in DSC" in out.split("holds:")[1].split(";")[0]


def _with_regions(folder):
    """Give the scans of a run two periventricular lesions each, one of them detected; the first scan has no regions."""
    from joint_seg_cls.evaluation.region_columns import COUNTS, VOLUMES, column
    from joint_seg_cls.lesions import REGIONS

    rows = pd.read_csv(folder / "per_case.csv")
    for region in REGIONS:
        for what, value in zip((*COUNTS, *VOLUMES), (2, 1, 3, 1, 0.5, 0.25), strict=True):
            rows[column(what, region)] = value * float(region == "periventricular")
            rows.loc[0, column(what, region)] = np.nan
    rows["regions_withheld"] = ["the brain has 300 mL"] + [""] * (len(rows) - 1)
    rows.to_csv(folder / "per_case.csv", index=False)


def test_lesions_by_region_have_tables(study, jsc, tmp_path):
    for base in ("joint", "only_seg"):
        _with_regions(study(base, 0))
    code, _, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    folder = report_of(tmp_path) / "tables"
    recall = pd.read_csv(folder / "table-regions.csv").set_index("base")
    assert recall["recall periventricular"].to_dict() == {"joint": 0.5, "only_seg": 0.5}
    assert "recall deep grey" not in recall, "no reference has a lesion there"
    text = (folder / "regions.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("| periventricular"))
    scans = SCANS // 3 - 1
    assert [cell.strip() for cell in line.split("|")[2:9]] == [
        *(str(2 * scans), "0.50 (0.50 to 0.50)", str(3 * scans), "0.33 (0.33 to 0.33)"),
        *("0.50", "0.25", r"\-0.25 (-0.25 to -0.25)"),
    ]
    assert f"Regions are withheld for 1 of {SCANS // 3} scans: the brain has 300 mL." in text
    page = (report_of(tmp_path) / "index.html").read_text()
    assert "Lesions by anatomical region" in page
    assert "Recall by anatomical region" in page


def test_a_study_without_regions_states_the_reason(study, jsc, tmp_path):
    study("joint", 0)
    code, out, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    assert "Lesions by anatomical region: missing: the tests of Joint Model have no regions" in out
    assert not (report_of(tmp_path) / "tables" / "regions.md").exists()


def test_lesions_and_surfaces_have_tables_whose_distances_are_millimetres(study, jsc, tmp_path):
    study("joint", 0, better=0.1)
    study("only_seg", 0)
    study("only_cls", 0)
    code, _, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    folder = report_of(tmp_path) / "tables"
    parts = [pd.read_csv(folder / f"table-{name}.csv").set_index("base") for name in ("lesions", "surfaces")]
    assert [part.index.tolist() for part in parts] == [["joint", "only_seg"]] * 2
    table = pd.concat(parts, axis=1)
    rows = pd.read_csv(tmp_path / "runs" / "store" / "joint" / "fold-0_seed-0" / "per_case.csv")
    assert table.loc["joint", "HD95 mm"] == pytest.approx(rows["hd95_mm"].mean(), rel=1e-5)
    text = "".join((folder / f"table-{name}.md").read_text() for name in ("lesions", "surfaces"))
    assert f"**{rows['hd95_mm'].mean():.2f} (" in text, "the smaller distance is the better"
    assert f"**{100 * rows['lesion_f1'].mean():.2f} (" in text
    assert "26-connected" in text
    drawn = rows[rows["dsc"].notna()]
    correlation = np.corrcoef(drawn["volume_reference_ml"], drawn["volume_predicted_ml"])[0, 1]
    parts = drawn["dsc"].mean() / 8, drawn["ppv"].fillna(0).mean() / 8, 0.7 / 4, drawn["isbi_ltpr"].mean() / 4
    assert table.loc["joint", "ISBI score"] == pytest.approx(sum(parts) + correlation / 4, rel=1e-5)
    recall = rows["lesions_detected_10_to_100_mm3"].sum() / rows["lesions_reference_10_to_100_mm3"].sum()
    assert table.loc["joint", "recall 10 to 100 mm3"] == pytest.approx(recall, rel=1e-5)


def test_every_published_value_of_the_tables_and_their_footnotes():
    tables = {table.number: table for table in published_tables()}
    assert list(tables) == [3, 4, 5, 6, 7, 8, 9]
    assert sum(len(row.values) for table in tables.values() for row in table.rows) == 124
    joint = {"DSC": 74.87, "PPV": 73.94, "TPR": 72.21, "VD": 22.34, "ACC": 92.16, "SN": 95.6, "SP": 92.6, "AUC": 96.33}
    for table in tables.values():
        last = table.rows[-1]
        assert (last.base, dict(last.values)) == ("joint", {name: joint[name] for name in table.metrics})
    assert not tables[4].rows[0].values
    assert any("ResNet34" in note for note in tables[4].notes())
    (outside,) = [note for note in tables[7].notes() if "outside" in note]
    assert "(Joint Model)" in outside
    assert not any("92.36" in note for note in tables[3].notes())


def test_columns_of_a_latex_table_match_its_heads_and_signs_are_escaped(study, jsc, tmp_path):
    for base in ("only_seg", "joint"):
        study(base, 0)
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    text = (report_of(tmp_path) / "tables" / "table-5.tex").read_text()
    assert r"\caption{Joint learning, segmentation (Table 5 of the paper). Cohort" in text
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1])
    body = [line for line in text.split("\\toprule")[1].split("\\bottomrule")[0].splitlines() if line.endswith(r"\\")]
    (heading,) = [line for line in body if "multicolumn" in line]
    assert heading == rf"\multicolumn{{{columns}}}{{l}}{{Jilin + ISBI-2015, private: not comparable}} \\"
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in body if line != heading} == {columns}
    assert body[body.index(heading) + 2].startswith(
        r"Joint Model & & & \textbf{74.87} & ".replace(" & & & ", " &  &  & ")
    )
    assert not re.search(r"(?<!\\)%(?!$)", text.replace("{!}{%\n", ""))
    assert text.count("{") == text.count("}")


def test_user_columns_are_escaped_in_latex():
    made = plain_latex("Sites < 3 T", ["site_1", "field"], [["<1.5T>", "≥ 3 & µT"], ["[2cm]\n\n*", "{}"]])
    assert "{[}2cm{]} {*}" in made, "no argument of the line end before it"
    assert r"\textless{}1.5T\textgreater{} & $\geq$ 3 \& $\mu$T" in made
    assert r"site\_1" in made
    assert r"\caption{Sites \textless{} 3 T}" in made


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_latex_table_compiles_within_the_page_width(study, jsc, tmp_path):
    for base in ("joint", "only_seg", "only_cls", "dot"):
        study(base, 0)
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    tables = sorted((report_of(tmp_path) / "tables").glob("*.tex"))
    assert len(tables) > 5
    inputs = "".join(rf"\input{{{path}}}" for path in tables)
    page = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}" + inputs + r"\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout


def test_the_caption_states_the_tested_weights(tmp_path):
    runs = []
    for name, weights in (("strict", "best"), ("strict", "last"), ("paper", "last"), ("mine", "last")):
        folder = tmp_path / name / weights
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({"protocol": {"name": name, "weights": weights}}))
        runs.append(ReportRun(folder, "joint", "Joint", 0, 0))
    reported = [protocol([run]) for run in runs]
    assert ["inner validation" in one for one in reported] == [True, False, False, False]
    assert ["last epoch" in one for one in reported] == [False, True, True, True]
    assert reported[3] == "mine (weights of the last epoch)"


@pytest.mark.parametrize(
    ("folds", "what", "apart"),
    [
        (DEALT, "folds stratified by disease and lesion load, grouped by subject", "subject"),
        (DEALT | {"kind": "random"}, "random folds", "scan"),
        ({"_target_": "joint_seg_cls.data.LeaveOneOut", "column": "site"}, "one site tested at", "subject and site"),
        ({"_target_": "joint_seg_cls.data.SplitFile", "allow": []}, "folds from the user's file", "subject"),
        (
            {"_target_": "joint_seg_cls.data.SplitFile", "allow": ["leakage"]},
            "the user's file",
            "scan; subjects may be",
        ),
        ({"_target_": "mine.Folds2"}, "strict (Folds2; ", "not available"),
    ],
)  # fmt: skip
def test_folds_are_described_by_their_kind_not_by_the_protocol(tmp_path, folds, what, apart):
    config = {"protocol": {"name": "strict", "weights": "best", "folds": "strict"}, "data": {"folds": folds}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run = ReportRun(tmp_path, "joint", "Joint", 0, 0)
    assert what in protocol([run])
    assert disjoint([run]).startswith(apart)


def test_several_seeds_count_a_case_once_and_uneven_folds_are_noted(study, jsc, tmp_path):
    for fold in range(3):
        study("joint", fold, seed=1)
        study("only_local", fold, seed=1)
    study("joint", 0, seed=0)
    study("joint", 1, seed=0, state="waiting")
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    failures = pd.read_csv(report_of(tmp_path) / "checklist.csv", index_col="number")["answer"][39]
    assert f"of {SCANS} diagnoses wrong" in failures
    table = (report_of(tmp_path) / "tables" / "table-7.md").read_text()
    assert "Seeds with different folds, weighted equally: Joint Model." in table
    assert "One seed:" not in table


def test_a_mean_over_fewer_folds_is_noted(study, jsc, tmp_path):
    for base in ("joint", "only_local"):
        for fold in range(3):
            path = study(base, fold) / "per_case.csv"
            rows = pd.read_csv(path)
            if fold == 2:  # a fold without patients of one class
                rows.assign(disease="MS").to_csv(path, index=False)
            if fold == 1:  # and one with a single patient of it
                others = rows.index[rows["disease"] == "NMOSD"][2:]
                rows.assign(disease=rows["disease"].mask(rows.index.isin(others), "MS")).to_csv(path, index=False)
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    table = (report_of(tmp_path) / "tables" / "table-7.md").read_text()
    assert "Joint Model: SN, AUC over 2 of 3." in table
    row = pd.read_csv(report_of(tmp_path) / "tables" / "table-7.csv").set_index("base").loc["joint"]
    assert (row["AUC folds"], row["ACC folds"]) == (2, 3)
    claims = pd.read_csv(report_of(tmp_path) / "claims.csv").set_index("metric")
    assert claims["verdict"]["AUC"] == "not decided: 1 of 2 folds have two subjects of each class"


def test_a_study_without_comparisons_has_a_table_without_claims(study, jsc, tmp_path):
    study("joint", 0)
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    claims = pd.read_csv(report_of(tmp_path) / "claims.csv")
    assert len(claims) == 0
    assert {"difference", "p_holm", "verdict"} <= set(claims)


def test_an_unfinished_study_is_reported_with_missing_parts(study, jsc, tmp_path):
    study("joint", 0)
    study("joint", 1, state="waiting")
    study("only_cls", 0)
    study("only_cls", 1, state="failed")
    broken = study("unet3d", 0)
    (broken / "per_case.csv").write_text("")
    code, out, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    page = (report_of(tmp_path) / "index.html").read_text()
    missing = page.split("<strong>Missing</strong>")[1].split("</ul>")[0]
    for text in ("Joint Model</b>: fold 1, seed 0: no run folder", "Only Cls Model</b>: fold 1, seed 0: out of memory",
                 "3D UNet</b>: fold 0, seed 0: per_case.csv ends in the middle of a line; delete ",
                 "VNet is not in this study"):  # fmt: skip
        assert text in missing
    assert "1 of 2" in page
    assert "warning: confounding" in page
    assert "warning: confounding" in out
    assert "Patients" in page
    pooled = pd.read_csv(report_of(tmp_path) / "pooled.csv")
    assert pooled.groupby("variant")["case"].count().to_dict() == {"Joint Model": 12, "Only Cls Model": 12}


def test_a_run_with_other_data_is_excluded_and_reported(study, jsc, tmp_path):
    study("joint", 0)
    study("joint", 1)
    other = study("no_cross", 0)
    (other / "provenance.json").write_text(json.dumps({"identity": {"data_hash": "d2", "folds_hash": "f1"}}))
    code, out, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    assert f"{other} is excluded: it has other data (d2) than most runs of the study (d1)" in out
    assert set(pd.read_csv(report_of(tmp_path) / "pooled.csv")["base"]) == {"joint"}


def test_a_repeated_cross_validation_is_complete_in_means_and_once_in_tests(study, jsc, tmp_path):
    for base in ("joint", "only_seg"):
        first = pd.read_csv(study(base, 0) / "per_case.csv")
        first.assign(fold=1, dsc=first["dsc"] - 0.2).to_csv(study(base, 1) / "per_case.csv", index=False)
    assert jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)[0] == 0
    assert len(pd.read_csv(report_of(tmp_path) / "pooled.csv")) == 4 * len(first)
    row = pd.read_csv(report_of(tmp_path) / "tables" / "table-5.csv").set_index("base").loc["only_seg"]
    assert row["DSC"] == pytest.approx(first["dsc"].mean() - 0.1, rel=1e-4)
    assert row["DSC sd folds"] == pytest.approx(0.2 / 2**0.5, rel=1e-4)
    assert pd.read_csv(report_of(tmp_path) / "claims.csv")["scans"].tolist() == [first["dsc"].notna().sum()]
    assert "A scan tested in several folds counts once" in (report_of(tmp_path) / "tables" / "table-5.md").read_text()


def test_the_held_out_test_is_not_a_fold(study, jsc, tmp_path):
    for base in ("joint", "only_seg"):
        rows = pd.read_csv(study(base, 0) / "per_case.csv")
        study(base, 1)
        held_out = study(base, 2)
        rows = pd.read_csv(held_out / "per_case.csv").assign(fold="held_out", dsc=0.1)
        rows.to_csv(held_out / "per_case.csv", index=False)
        held_out.rename(held_out.with_name("fold-held_out_seed-0"))
    path = tmp_path / "runs" / "store" / "studies" / "mine.json"
    path.write_text(
        path.read_text().replace("fold-2_seed-0", "fold-held_out_seed-0").replace('"fold": 2', '"fold": "held_out"')
    )
    code, _, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    table = pd.read_csv(report_of(tmp_path) / "tables" / "table-5.csv").set_index("method")
    assert table["DSC"]["Joint Model (held-out test)"] == pytest.approx(0.1)
    assert table["DSC"]["Joint Model"] > 0.4
    assert table["DSC folds"].to_dict() == {
        "Only Seg Model": 2, "Only Seg Model (held-out test)": 1, "Joint Model": 2, "Joint Model (held-out test)": 1
    }  # fmt: skip
    claims = pd.read_csv(report_of(tmp_path) / "claims.csv")
    assert set(zip(claims["better"], claims["worse"], strict=True)) == {
        ("Joint Model", "Only Seg Model"), ("Joint Model (held-out test)", "Only Seg Model (held-out test)")
    }  # fmt: skip


def test_the_checklist_uses_the_joint_model_with_the_fewest_settings(study, jsc, tmp_path):
    study("joint", 0, better=0.3)
    study("joint", 0, settings=["optimizer.lr-0.01"])
    study("only_seg", 0)
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    items = pd.read_csv(report_of(tmp_path) / "checklist.csv", index_col="number")["answer"]
    plain = pd.read_csv(report_of(tmp_path) / "pooled.csv").query("variant == 'Joint Model'")["dsc"].mean()
    assert items[37].startswith(f"Joint Model: DSC {100 * plain:.2f}")
    assert "segment lesions and classify the disease" in items[1]


def test_the_checklist_does_not_list_segmentation_for_classifiers(study, jsc, tmp_path):
    study("only_cls", 0)
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    items = pd.read_csv(report_of(tmp_path) / "checklist.csv", index_col="number")["answer"]
    assert items[1] == "3-D networks that classify the disease: Only Cls Model"
    assert items[29].endswith("over subjects")  # no comparison was made


def test_a_study_without_finished_runs_has_a_page(study, jsc, tmp_path):
    study("joint", 0, state="waiting", tables=["table7"])
    code, _, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", "resamples=40")
    assert code == 0, err
    page = (report_of(tmp_path) / "index.html").read_text()
    assert "Joint Model has no finished run" in page
    assert "there are no comparisons" in page
    assert "Figure 8. Segmented lesions</b>: needs" in page
    assert "73.80" in page, "the published table stands all the same"


def test_outdated_tables_are_removed_and_other_files_kept(study, jsc, tmp_path):
    study("joint", 0, tables=["table7"])
    tables = report_of(tmp_path) / "tables"
    assert jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)[0] == 0
    (tables / "table-mine.tex").write_text("x")
    study("joint", 1, tables=["table5"])
    before = {path.name for path in tables.iterdir()}
    code, _, err = jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    names = {path.name for path in tables.iterdir()}
    assert before - names == {f"table-7.{suffix}" for suffix in ("csv", "md", "tex")}
    assert {"table-5.tex", "table-mine.tex"} <= names


def test_a_missing_study_gives_one_sentence(study, jsc, tmp_path):
    study("joint", 0)
    for words in (("study=nope",), (), ("collection=nope",)):
        code, _, err = jsc("report", *words, f"runs={tmp_path / 'runs'}")
        assert code == 2
        assert "Traceback" not in err
        assert err.startswith("error: ")
    (tmp_path / "file").write_text("")
    assert jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", f"out={tmp_path / 'file'}")[0] == 2


def test_user_variants_get_a_table_with_claims_and_seeds(study, jsc, tmp_path):
    for fold in range(3):
        for seed in (1, 2):
            study("joint", fold, seed=seed, better=0.1)
            study("joint", fold, seed=seed, settings=("loss-mine",))
            study("mynet", fold, seed=seed)
    code, _, err = jsc("report", "collection=store", f"runs={tmp_path / 'runs'}", *QUICK)
    assert code == 0, err
    out = report_of(tmp_path, "store")
    table = pd.read_csv(out / "tables" / "table-variants.csv")
    assert sorted(table["method"]) == ["Joint Model", "Joint Model (loss-mine)", "mynet"]
    assert (table["DSC sd seeds"] > 0).all()
    claims = pd.read_csv(out / "claims.csv").set_index(["worse", "metric"])
    assert set(claims["better"]) == {"Joint Model"}
    assert set(claims.index.get_level_values("worse")) == {"Joint Model (loss-mine)", "mynet"}
    assert claims.loc[("mynet", "DSC"), "verdict"] == "holds"
    assert len(claims.loc[("mynet", "DSC"), "by_seed"].split()) == 2
    np.testing.assert_allclose(sorted(claims["p_holm"]), sorted(holm(claims["p"].tolist())), rtol=1e-4)


def test_settings_from_folder_names_enter_labels_if_needed(study, jsc, tmp_path):
    study("joint", 0, settings=("trainer.max_epochs-1",))
    study("only_seg", 0, settings=("trainer.m-d3017831",))
    for name, settings in (("both", ()), ("three", ("loss-mine",))):
        if settings:
            study("joint", 0, settings=settings)
        jsc("report", "collection=store", f"runs={tmp_path / 'runs'}", f"out={tmp_path / name}", *QUICK)
    assert set(pd.read_csv(tmp_path / "both" / "pooled.csv")["variant"]) == {"Joint Model", "Only Seg Model"}
    three = set(pd.read_csv(tmp_path / "three" / "pooled.csv")["variant"])
    assert three == {"Joint Model (trainer.max_epochs-1)", "Joint Model (loss-mine)", "Only Seg Model"}


def test_the_checklist_has_every_item_and_marks_those_for_authors(study, jsc, tmp_path):
    study("joint", 0)
    study("only_seg", 0)
    study("only_cls", 0)
    jsc("report", "study=mine", f"runs={tmp_path / 'runs'}", *QUICK)
    items = pd.read_csv(report_of(tmp_path) / "checklist.csv", index_col="number")["answer"]
    assert items.index.tolist() == list(range(1, 45))
    for number in (3, 11, 14, 34, 40, 44, 9):  # the store of item 9 is gone
        assert items[number] == "not available"
    assert items[20] == "subject"
    assert "hash f1" in items[19]
    assert "lr 0.001" in items[25]
    assert items[37].startswith("Joint Model: DSC")
    assert items[38].startswith("Joint Model: ACC")
    assert items[31] == "not available"  # without figures
    assert "Wilcoxon signed-rank, McNemar, exact, DeLong" in items[29]
    assert "HD95" not in items[38]
    assert "not available" in (report_of(tmp_path) / "checklist.md").read_text()
