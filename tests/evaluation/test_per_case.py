"""One row a scan and the table of a paper: numbers by hand, and the rule for empty masks."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.evaluation import TestCase, evaluate_cases, print_summary, summarise
from joint_seg_cls.inference import Predictor
from joint_seg_cls.scan import Geometry, Grid

GRID = Grid((16, 16, 16), np.diag([2.0, 2.0, 2.0, 1.0]))  # voxels of 0.008 mL, model grid the same
SAME = Geometry(GRID, GRID)
CLASSES = ("MS", "NMOSD")


class Echo(nn.Module):
    """Says lesion where the image is 1; the first voxel holds the score of NMOSD."""

    def forward(self, image):
        score = image[0, 0, 0, 0, 0]
        return Prediction(
            lesion_logits=torch.where(image == 1, 9.0, -9.0), disease_logits=torch.stack([0 * score, score])[None]
        )


def box(x=slice(0, 0), y=slice(4, 6), z=slice(4, 6)):
    mask = np.zeros(GRID.shape, bool)
    mask[x, y, z] = True
    return mask


def case(name, predicted, reference, disease="MS", score=-2.0, subject=None):
    image = predicted.astype(np.float32)[None]
    image[0, 0, 0, 0] = score
    return TestCase(name, subject or name, None, disease, image, SAME, reference, reference)


def rows_of(*cases):
    predictor = Predictor(Echo(), 0.5)
    return evaluate_cases(iter(cases), predictor, total=len(cases), classes=CLASSES, fold=2).set_index("case")


def test_numbers_by_hand():
    # reference 4 x 2 x 2 = 16 voxels, prediction 6 x 2 x 2 = 24, overlap 2 x 2 x 2 = 8
    row = rows_of(case("a", box(slice(6, 12)), box(slice(4, 8)))).loc["a"]
    assert row["dsc"] == row["dsc_model"] == pytest.approx(2 * 8 / (16 + 24))
    assert row["ppv"] == pytest.approx(8 / 24)
    assert row["tpr"] == pytest.approx(8 / 16)
    assert row["vd"] == pytest.approx(8 / 16)
    assert row["dsc_ceiling"] == 1
    assert (row["lesions_reference"], row["lesions_predicted"]) == (1, 1)
    assert row["volume_predicted_ml"] == pytest.approx(24 * 0.008)
    assert row["false_positive_ml"] == pytest.approx(16 * 0.008)
    assert (row["fold"], row["subject"], row["disease"]) == (2, "a", "MS")
    assert row["p_NMOSD"] == pytest.approx(1 / (1 + np.exp(2)))


def test_empty_masks_follow_the_one_rule():
    rows = rows_of(
        case("empty-reference", box(slice(4, 8)), box()),
        case("both-empty", box(), box()),
        case("missed", box(), box(slice(4, 8))),
        case("unknown", box(slice(4, 8)), None),
    )
    voxel = ["dsc", "ppv", "tpr", "vd"]
    assert rows.loc[["empty-reference", "both-empty", "unknown"], voxel].isna().all(axis=None)
    assert rows.loc["missed", ["dsc", "tpr", "vd"]].tolist() == [0, 0, 1]
    assert np.isnan(rows.loc["missed", "ppv"])
    summary = summarise(rows.reset_index(), CLASSES).set_index(["metric", "space"])
    assert summary.loc[("DSC", "native"), "n"] == 1
    assert summary.loc[("PPV", "native"), "n"] == 0


def test_means_are_over_scans_and_diseases_over_known_ones():
    cases = [
        case("a", box(slice(4, 8)), box(slice(4, 8)), "MS", score=-2),
        case("b", box(slice(4, 6)), box(slice(4, 8)), "NMOSD", score=2),
        case("c", box(slice(4, 8)), box(slice(4, 8)), "NMOSD", score=-3),
        case("d", box(slice(4, 8)), box(slice(4, 8)), None, score=5),
    ]
    summary = summarise(rows_of(*cases).reset_index(), CLASSES).set_index(["metric", "space"])
    assert summary.loc[("DSC", "native"), "value"] == pytest.approx((3 + 2 * 8 / 24) / 4)
    assert summary.loc[("ACC", "scan"), ["n", "value"]].tolist() == [3, pytest.approx(2 / 3)]
    assert summary.loc[("SN", "scan"), "value"] == pytest.approx(1 / 2)
    assert summary.loc[("SP", "scan"), "value"] == 1
    assert summary.loc[("AUC", "scan"), "value"] == pytest.approx(1 / 2)  # a lies between b and c


def test_intervals_resample_subjects_not_scans():
    half, whole = box(slice(4, 6)), box(slice(4, 8))
    alone = [case(str(k), whole if k % 2 else half, whole) for k in range(8)]
    twins = [case(str(k), whole if k % 2 else half, whole, subject=f"s{k % 2}") for k in range(8)]
    wide, narrow = (
        summarise(rows_of(*cases).reset_index(), CLASSES).set_index(["metric", "space"]).loc[("DSC", "native")]
        for cases in (twins, alone)
    )
    assert narrow["value"] == wide["value"]
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"] > 0
    assert (wide["low"], wide["high"]) == (pytest.approx(2 * 8 / 24), 1)


def test_printed_table_states_rule_and_empty_references(capsys):
    rows = rows_of(case("a", box(slice(4, 8)), box(slice(4, 8))), case("b", box(slice(4, 8)), box())).reset_index()
    print_summary(rows, summarise(rows, CLASSES), "a run")
    text = " ".join(capsys.readouterr().out.split())
    assert "reference empty: DSC, PPV, TPR, VD undefined" in text
    assert "1 scans with an empty reference: 0% predicted empty, 0.13 mL" in text
    assert "bootstrap over 2 subjects" in text


def test_rows_are_in_the_order_of_their_names():
    frame = rows_of(case("b", box(), None), case("a", box(), None))
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == ["a", "b"]
