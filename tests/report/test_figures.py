"""Figures and the study page: content, selection of cases, and missing parts."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from matplotlib.image import imread
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.inference import Predictor
from joint_seg_cls.inference.explanation import maps_of
from joint_seg_cls.networks import JointNetwork, NoClassification, NoGuidance, SingleStem
from joint_seg_cls.report import (
    PageCell,
    PageRun,
    PageTable,
    ReportRun,
    TextSection,
    draw_figures,
    trust_tables,
    write_page,
)
from joint_seg_cls.report.figures_cases import Gallery, View, choose_cases
from joint_seg_cls.report.figures_lesions import GREEN, RED, YELLOW, draw_errors, hits_and_misses
from joint_seg_cls.report.figures_roc import band
from joint_seg_cls.report.variants import pool
from joint_seg_cls.scan import PreparedStore

CLASSES = ("MS", "NMOSD")


@pytest.fixture
def make_run(store, tmp_path):
    """Return a function that writes the files of a finished run, with simulated tables."""
    cases = PreparedStore(store).cases

    def make(base, fold, *, seed=0, segments=True, names=True, state="done", data_hash=None):
        folder = tmp_path / "runs" / "store" / base / f"fold-{fold}_seed-{seed}"
        if state == "waiting":
            return ReportRun(folder, base, base.replace("_", " "), fold, seed)
        folder.mkdir(parents=True)
        own = [case for number, case in enumerate(cases) if number // 2 % 2 == fold]  # two of each class
        rng = np.random.default_rng(fold)
        score = np.clip([0.3 * (case.disease == "NMOSD") + 0.35 for case in own] + rng.normal(0, 0.2, len(own)), 0, 1)
        rows = pd.DataFrame({"case": [case.case for case in own], "subject": [case.subject for case in own]})
        rows["session"], rows["fold"], rows["disease"] = "", fold, [case.disease for case in own]
        rows["p_MS"], rows["p_NMOSD"] = (1 - score, score) if names else (np.nan, np.nan)
        rows["dsc"] = rng.random(len(own)) if segments else np.nan
        rows.to_csv(folder / "per_case.csv", index=False)
        epochs = pd.DataFrame({"epoch": range(3), "step": [3, 6, 9], "seconds": 1.0})
        epochs["train/loss/segmentation"] = [0.9, 0.7, 0.6] if segments else 0.0
        epochs["train/loss/classification"] = [0.7, 0.6, 0.5] if names else 0.0
        epochs["train/loss/cross_task"], epochs["val/dice"] = 0.0, [0.0, 0.2, 0.3]
        epochs.to_csv(folder / "metrics.csv", index=False)
        (folder / "config.yaml").write_text(
            yaml.safe_dump({"data": {"store": str(store)}, "trainer": {"max_epochs": 3}})
        )
        identity = {"data_hash": data_hash or PreparedStore(store).content_hash}
        (folder / "provenance.json").write_text(json.dumps({"identity": identity}))
        if state == "done":
            (folder / "DONE").touch()
        return ReportRun(folder, base, base.replace("_", " "), fold, seed)

    return make


def open_network(folder):
    torch.manual_seed(0)
    single = {"sharing": SingleStem(1, 4), "guidance": NoGuidance(), "classification": NoClassification()}
    network = JointNetwork(**(single if folder.parent.name == "only_seg" else {}), channels=4, image_size=16)
    return Predictor(network, 0.001), None


def by_name(figures):
    return {figure.name: figure for figure in figures}


def test_an_unfinished_study_draws_available_figures_and_lists_missing_ones(make_run, tmp_path):
    runs = [make_run("joint", 0), make_run("joint", 1, state="running"), make_run("only_seg", 0, names=False)]
    runs += [make_run("only_cls", 0, state="waiting"), make_run("unet3d", 0, names=False, state="waiting")]
    figures = by_name(draw_figures(runs, tmp_path / "out", open_network=open_network))
    drawn = {name for name, figure in figures.items() if figure.png is not None}
    curves = {"training-01", "training-02"}
    assert drawn == {"figure-08", "figure-09", "figure-10", "figure-12", "calibration", "coverage"} | curves
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == drawn
    assert {path.stem for path in (tmp_path / "out").glob("*.pdf")} == {"figure-09", "calibration", "coverage"} | curves
    assert "only_cls and joint" in figures["figure-11"].missing
    assert "finished: joint" in figures["figure-11"].missing
    assert "no epoch of only cls" in figures["training-03"].missing
    assert "median DSC" in figures["figure-08"].caption
    assert all(figure.caption for name, figure in figures.items() if name in drawn)


def test_an_unstarted_study_has_only_missing_figures(make_run, tmp_path):
    figures = draw_figures([make_run("joint", 0, state="waiting")], tmp_path, open_network=open_network)
    assert all(figure.png is None and figure.missing for figure in figures)


@pytest.mark.slow
def test_a_figure_is_reproducible(make_run, tmp_path):
    runs = [make_run("joint", 0), make_run("only_cls", 0, segments=False)]
    for name in ("a", "b"):
        draw_figures(runs, tmp_path / name, open_network=open_network)
    first = sorted((tmp_path / "a").iterdir())
    assert {"figure-08.png", "figure-11.pdf", "figure-12.png"} <= {path.name for path in first}
    assert all(path.read_bytes() == (tmp_path / "b" / path.name).read_bytes() for path in first)


def test_pictures_need_the_studys_cohort_and_curves_do_not(make_run, tmp_path):
    figures = by_name(draw_figures([make_run("joint", 0, data_hash="other")], tmp_path, open_network=open_network))
    assert "the cases used in the study" in figures["figure-08"].missing
    assert figures["figure-09"].png is not None


def test_a_run_is_read_once_whatever_the_data_of_the_study(make_run):
    run = make_run("joint", 0)
    assert run.is_done
    (run.folder / "per_case.csv").unlink()
    same, other = run.with_data(run.own_data_hash), run.with_data("other")
    assert same.rows is run.rows
    assert (other.rows, other.is_done) == (None, False)
    assert "than most runs of the study (other)" in other.fault


def test_tested_scans_missing_in_the_store_are_reported(make_run, tmp_path):
    run = make_run("joint", 0)
    rows = pd.read_csv(run.folder / "per_case.csv")
    rows.assign(case="other-" + rows["case"]).to_csv(run.folder / "per_case.csv", index=False)
    figures = by_name(draw_figures([run], tmp_path / "out", open_network=open_network))
    assert "which is not" in figures["figure-08"].missing


def test_out_of_fold_tables_use_the_seed_with_the_most_folds(make_run):
    runs = [make_run("joint", fold, seed=seed) for seed in (1, 2) for fold in (0, 1)]
    (pooled,) = pool([*runs, make_run("joint", 0, seed=0, state="waiting")])
    assert {run.seed for run in pooled.by_fold.values()} == {1}
    assert sorted(pooled.rows["case"]) == [f"s{number}" for number in range(8)]
    assert pooled.label_with_progress() == "joint (seed 1)"
    (fuller,) = pool([make_run("add", 0), make_run("add", 0, seed=3), make_run("add", 1, seed=3)])
    assert fuller.label_with_progress() == "add (seed 3)"
    assert (
        pool([make_run("dot", 0), make_run("dot", 1, state="running")])[0].label_with_progress() == "dot (1 of 2 folds)"
    )


def test_the_case_of_median_dsc_is_shown(make_run):
    (pooled,) = pool([make_run("joint", 0), make_run("joint", 1)])
    pooled.rows["dsc"] = 0.9
    pooled.rows.loc[pooled.rows["disease"] == "MS", "dsc"] = [0.4, 0.1, np.nan, 0.2]
    assert pooled.rows.loc[pooled.rows["disease"] == "MS", "case"].tolist() == ["s0", "s4", "s2", "s6"]
    ms, nmosd = choose_cases(pooled, [0.5], set(pooled.rows["case"]))
    assert (ms.case, ms.disease, ms.dsc, ms.fold) == ("s6", "MS", 0.2, "1")
    assert nmosd.case == "s3"
    assert choose_cases(pooled, [0.5], {"s99"}) == []
    (alone,) = choose_cases(pooled, [0.5], {"s4", "s99"})
    assert alone.case == "s4"
    pooled.rows["disease"] = ""  # a cohort without diseases
    (nameless,) = choose_cases(pooled, [0.5], set(pooled.rows["case"]))
    assert (nameless.disease, nameless.dsc) == ("", 0.9)


def test_a_case_is_drawn_by_networks_not_trained_on_it(make_run, tmp_path):
    """Two methods with permuted folds."""
    joint = [make_run("joint", 0), make_run("joint", 1)]
    other = [make_run("unet3d", 0), make_run("unet3d", 1)]
    swapped = [replace(other[0], fold=1), replace(other[1], fold=0)]
    opened = []

    def watched(folder):
        opened.append((folder.parent.name, folder.name))
        return open_network(folder)

    methods = pool([*joint, *swapped])
    figure = draw_errors(methods, methods[0], Gallery(watched), tmp_path, "f", "t")
    assert figure.png is not None
    tests = {run.folder.parent.name: {} for run in (*joint, *other)}
    for run in (*joint, *other):
        tests[run.folder.parent.name] |= dict.fromkeys(run.rows["case"], run.folder.name)
    shown = choose_cases(methods[0], [0.5], set(methods[0].rows["case"]))
    assert set(opened) == {(base, own[one.case]) for one in shown for base, own in tests.items()}


def test_true_positives_are_red_false_positives_green_and_misses_yellow():
    plain = np.zeros((1, 4, 3))
    found, reference = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    drawn = hits_and_misses(plain, found, reference)
    np.testing.assert_allclose(drawn[0], 0.75 * np.array([RED, GREEN, YELLOW, (0, 0, 0)]))


def test_errors_of_each_method_are_drawn_for_one_case_per_class(make_run, tmp_path):
    class Shifted(nn.Module):
        """Segments each lesion shifted by two voxels."""

        def forward(self, image):
            lesion = (image[:, :1] > 3).float()
            return Prediction(18 * torch.roll(lesion, 2, dims=3) - 9, None, None, None)

    runs = [make_run("joint", 0), make_run("only_seg", 0)]
    pooled = pool(runs)
    figure = draw_errors(pooled, pooled[0], Gallery(lambda _: (Predictor(Shifted(), 0.5), None)), tmp_path, "f", "t")
    picture = imread(figure.png)[..., :3]
    red, green = picture[..., 0], picture[..., 1]
    hits, inventions, misses = (red > 0.6) & (green < 0.45), (green > 0.55) & (red < 0.5), (red > 0.6) & (green > 0.6)
    coloured = picture.max(axis=-1) - picture.min(axis=-1) > 0.35
    height, width = coloured.shape
    for row in (slice(0, height // 2), slice(height // 2, height)):
        for column in range(2, 4):
            panel = row, slice(column * width // 4, (column + 1) * width // 4)
            assert all((kind & coloured)[panel].sum() > 20 for kind in (hits, inventions, misses))
        plain = row, slice(0, width // 4)
        assert not coloured[plain].any()
    assert all(
        word in figure.caption
        for word in ("true positive", "false positive", "false negative", "the MS case", "the NMOSD case")
    )


def test_the_slice_with_most_of_the_reference_is_cropped_to_the_brain(store):
    case = PreparedStore(store).cases[0]
    view = View.of(case)
    per_slice = case.lesion_mask().sum(axis=(0, 1))
    assert per_slice[view.cut.index] == per_slice.max()
    spacing = case.geometry.model.spacing_mm
    drawn = view.grey()
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(spacing[0] / spacing[1], rel=0.01)


def test_grad_cam_is_the_positive_part_of_the_coarsest_location_map_over_its_voxels():
    torch.manual_seed(3)
    network = JointNetwork(channels=4, image_size=(16, 32, 16)).eval()
    image = torch.randn(1, 16, 32, 16)
    with torch.no_grad():
        coarsest = network(image[None]).location_maps[0]
    for disease in (0, 1):
        expected = coarsest[0, disease].relu() / coarsest[0, 0].numel()
        grown = nn.functional.interpolate(expected[None, None], size=(16, 32, 16), mode="trilinear")[0, 0]
        _, found = maps_of(network, image.numpy(), disease)
        np.testing.assert_allclose(found, grown.numpy(), atol=1e-6)
        assert found.max() > 0
    assert not any(part._forward_hooks for part in network.modules())


def test_a_bootstrap_band_resamples_whole_subjects():
    score, positive = np.r_[np.full(20, 0.1), np.full(20, 0.9)], np.repeat([False, True], 20)
    low, high = band(score, positive, np.arange(40), seed=0)
    np.testing.assert_array_equal(low[1:], 1)
    np.testing.assert_array_equal(high, 1)
    rng = np.random.default_rng(0)
    score = np.repeat(np.r_[rng.normal(0, 1, 6), rng.normal(1, 1, 6)], 5)  # five equal scans per subject
    positive = np.repeat([False, True], 30)
    scans = band(score, positive, np.arange(60), seed=0)
    people = band(score, positive, np.arange(60) // 5, seed=0)
    middle = slice(20, 180)
    assert (people[1] - people[0])[middle].mean() > (scans[1] - scans[0])[middle].mean()
    np.testing.assert_array_equal(band(score, positive, np.arange(60), seed=0), scans)


def test_a_band_without_a_class_is_undefined():
    low, high = band(np.array([0.1, 0.9]), np.array([True, True]), np.arange(2), seed=0)
    assert np.isnan(low).all()
    assert np.isnan(high).all()


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, name, value) for name, value in attrs if name in ("src", "href")]


def test_the_page_is_self_contained_and_lists_runs_and_missing_parts(make_run, tmp_path):
    runs = [make_run("joint", 0), make_run("only_cls", 0, segments=False, state="waiting")]
    figures = draw_figures(runs, tmp_path / "out", open_network=open_network)
    path = tmp_path / "runs" / "store" / "studies" / "my study" / "index.html"
    cells = [PageCell("joint"), PageCell("74.9", "best"), PageCell("70.1", "second")]
    write_page(
        path,
        title="My <study>",
        subtitle="24 scans",
        parts=[TextSection("Cohort", ["12 MS & 12 NMOSD"])],
        tables=[PageTable("Table 5", ["method", "DSC", "PPV"], [cells]), PageTable("Table 3", missing="no VNet yet")],
        figures=figures,
        runs=[
            PageRun(run.label, str(run.fold), "0", state, "", run.folder)
            for run, state in zip(runs, ("done", "waiting"), strict=True)
        ],
        footer="not for clinical use",
    )
    text = path.read_text()
    links = Links()
    links.feed(text)
    sources = [value for tag, name, value in links.found if name == "src"]
    assert len(sources) == sum(figure.png is not None for figure in figures)
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert not re.search(r"https?://|@import|url\(", text), "nothing is fetched"
    folders = [value for tag, name, value in links.found if name == "href" and not value.startswith("#")]
    assert [(path.parent / folder).resolve() for folder in folders] == [run.folder.resolve() for run in runs]
    assert "My &lt;study&gt;" in text
    assert "12 MS &amp; 12 NMOSD" in text
    assert '<td class="best">74.9</td><td class="second">70.1</td>' in text
    missing = text.split("<strong>Missing</strong>")[1].split("</ul>")[0]
    for reported in ("only cls</b>: fold 0, seed 0: waiting", "Table 3</b>: no VNet yet", "Figure 11"):
        assert reported in missing
    assert "1 of 2 runs done" in text
    assert [item.name for item in path.parent.iterdir()] == ["index.html"]


def test_an_empty_page_is_written(tmp_path):
    write_page(tmp_path / "index.html", title="Empty", subtitle="")
    assert "Empty" in (tmp_path / "index.html").read_text()


def test_tables_of_trust_have_calibration_before_and_after_and_audited_explanations(make_run, store):
    runs = [make_run("joint", 0), make_run("joint", 1)]
    for run in runs:  # calibrated at temperature 2, as the test would have written it
        rows = pd.read_csv(run.folder / "per_case.csv")
        after = np.sqrt(rows[["p_MS", "p_NMOSD"]].to_numpy().clip(0.01, 0.99))
        after /= after.sum(axis=1, keepdims=True)
        rows["uncalibrated_MS"], rows["uncalibrated_NMOSD"] = rows["p_MS"], rows["p_NMOSD"]
        rows["p_MS"], rows["p_NMOSD"] = after.T
        rows.to_csv(run.folder / "per_case.csv", index=False)
        (run.folder / "DONE").write_text('{"temperature": 2.0}')
    tables, audited = trust_tables(runs, open_network=open_network, explained=3, seed=0, resamples=50)
    assert list(tables) == ["calibration", "coverage", "explanations"]
    (row,) = tables["calibration"].rows
    assert [cell.text for cell in row[1:3]] == ["8", "2.00 (2 of 2)"]
    pooled = pool(runs)[0]
    before, truth = pooled.uncalibrated(), pooled.disease()
    assert row[3].text == f"{-np.log(before[np.arange(8), truth]).mean():.3f}"
    assert row[5].text != row[6].text
    answered = [row[3].text for row in tables["coverage"].rows]
    assert [cell.text for cell in tables["coverage"].rows[0][2:4]] == ["8 of 8", "1.000"]
    assert (
        tables["coverage"].rows[0][3].detail
        == f"({0.025 ** (1 / pooled.diagnosed()['subject'].nunique()):.3f} to 1.000)"
    )
    assert sorted(answered, reverse=True) == answered
    assert len(audited) == 3
    assert audited["case"].is_monotonic_increasing
    np.testing.assert_allclose(audited["deletion_difference"],
                               audited["deletion_fall"] - audited["deletion_control_fall"])  # fmt: skip
    named = {cells[0].text: [cell.text for cell in cells[1:4]] for cells in tables["explanations"].rows}
    shares = audited["location_map_lesion_share"]
    parts = [shares, *(shares[audited["predicted"] == name] for name in ("MS", "NMOSD"))]
    means = ["–" if part.empty else f"{part.mean():.3f}" for part in parts]
    assert named["location map (Eq. 10): share in lesions"] == means
    counts = [f"predicted {name} ({(audited['predicted'] == name).sum()})" for name in ("MS", "NMOSD")]
    assert list(tables["explanations"].columns[1:4]) == ["all scans (3)", *counts]
    assert audited["location_map_shuffled_similarity"].between(-1, 1).all()


def test_a_study_without_calibration_or_maps_states_the_reason(make_run):
    def other(folder):
        network = JointNetwork(channels=4, image_size=16)
        network.forward = lambda image: JointNetwork.forward(network, image)._replace(location_maps=None)
        return Predictor(network, 0.5), None

    run = make_run("joint", 0)
    tables, audited = trust_tables([run], open_network=other, explained=2, seed=0, resamples=50)
    assert tables["calibration"].rows[0][2].text == "none"
    assert tables["explanations"].missing == "joint has no location maps"
    assert audited.empty
    assert list(trust_tables([run], open_network=other, explained=0, seed=0, resamples=50)[0]) == [
        "calibration",
        "coverage",
    ]
    assert trust_tables([], open_network=other, explained=2, seed=0, resamples=50)[0] == {}
