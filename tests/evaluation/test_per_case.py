"""The per-case table and its summary: hand-computed numbers and the rules for empty masks."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ScanError
from joint_seg_cls.evaluation import TestCase, evaluate_cases, print_summary, summarise
from joint_seg_cls.inference import Predictor
from joint_seg_cls.scan import Geometry, Grid

GRID = Grid((16, 16, 16), np.diag([2.0, 2.0, 2.0, 1.0]))  # voxels of 0.008 mL, model grid the same
SAME = Geometry(GRID, GRID)
CLASSES = ("MS", "NMOSD")


class Echo(nn.Module):
    """Predicts lesion where the image is 1; the first voxel is the score of NMOSD."""

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
    return TestCase(name, subject or name, None, disease, image, SAME, reference, reference, np.ones(GRID.shape, bool))


def rows_of(*cases):
    predictor = Predictor(Echo(), 0.5)
    return evaluate_cases(iter(cases), predictor, total=len(cases), classes=CLASSES, fold=2).set_index("case")


def test_a_scan_with_non_finite_outputs_fails_without_stopping_others():
    cases = [case(name, box(slice(6, 12)), box(slice(4, 8))) for name in "abc"]
    cases[1].image[0, 0, 0, 0] = np.nan
    with pytest.raises(ScanError, match="b: expected finite outputs of the network, found NaN or infinity"):
        rows_of(*cases)
    failures = []
    predictor = Predictor(Echo(), 0.5)
    rows = evaluate_cases(iter(cases), predictor, total=3, classes=CLASSES, fold=2, failures=failures)
    assert [str(failure).partition(":")[0] for failure in failures] == ["b"]
    assert rows["case"].tolist() == ["a", "c"]
    assert rows[["p_MS", "dsc", "volume_predicted_ml"]].notna().all(axis=None)
    assert summarise(rows, CLASSES).set_index(["metric", "space"]).loc[("DSC", "native"), "n"] == 2


def test_hand_computed_numbers():
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


def test_empty_masks_follow_the_rule():
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
    assert summary.loc[("AUC", "scan"), "value"] == pytest.approx(1 / 2)  # a is between b and c


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
    assert "MSSEG (Anima): 6-connected, above 3 mm3, alpha 0.10, beta 0.70, gamma 0.65" in text
    assert "HD95 the diagonal of the grid" in text


def test_hand_computed_lesions_and_surfaces():
    # reference: 16 voxels of 8 mm3 (128 mm3) and one (8 mm3); prediction: the first, moved by a voxel, and a false one
    reference, prediction = box(slice(4, 8)), box(slice(5, 9))
    reference[12, 12, 12] = prediction[1, 14, 14] = True
    row = rows_of(case("a", prediction, reference)).loc["a"]
    assert row[["lesions_reference", "lesions_predicted", "lesions_detected", "lesions_false"]].tolist() == [2, 2, 1, 1]
    assert row[["ltpr", "lfpr", "lesion_f1", "isbi_ltpr", "isbi_lfpr"]].tolist() == [0.5] * 5
    assert row[["msseg_sensl", "msseg_ppvl", "msseg_f1"]].tolist() == [0.5] * 3
    assert row[["msseg_false_lesions", "msseg_false_volume_mm3"]].isna().all()
    assert row[["lesions_reference_below_10_mm3", "lesions_detected_below_10_mm3"]].tolist() == [1, 0]
    assert row[["lesions_reference_100_to_1000_mm3", "lesions_detected_100_to_1000_mm3"]].tolist() == [1, 1]
    # the false lesion is (11, 2, 2) voxels from the nearest of the reference, which is farther than the missed one is
    assert row["hd95_mm"] == pytest.approx(np.percentile([0] * 12 + [2] * 4 + [2 * 129**0.5], 95))
    assert 0 < row["surface_dice_1mm"] < 1


def test_empty_masks_follow_the_lesion_rules():
    rows = rows_of(
        case("empty-reference", box(slice(4, 8)), box()),
        case("missed", box(), box(slice(4, 8))),
        case("unknown", box(slice(4, 8)), None),
    )
    rates = ["ltpr", "lfpr", "lesion_f1", "isbi_ltpr", "isbi_lfpr", "msseg_f1", "hd95_mm", "surface_dice_1mm"]
    assert rows.loc[["empty-reference", "unknown"], rates].isna().all(axis=None)
    assert rows.loc["empty-reference", ["msseg_false_lesions", "msseg_false_volume_mm3"]].tolist() == [
        1,
        pytest.approx(128),
    ]
    assert rows.loc["missed", ["ltpr", "lesion_f1", "msseg_f1", "surface_dice_1mm"]].tolist() == [0] * 4
    assert rows.loc["missed", ["lfpr", "isbi_lfpr", "msseg_ppvl"]].isna().all()
    assert rows.loc["missed", "hd95_mm"] == pytest.approx(32 * 3**0.5)  # the whole grid's, not the box's


def test_recall_by_size_is_over_lesions_and_the_isbi_score_over_scans():
    large, small = box(slice(4, 8)), box()
    small[12, 12, 12] = True
    cases = [
        case("a", large, large | small),
        case("b", large | small, large | small),
        case("c", box(slice(4, 6)), large),
        case("d", large, box()),
    ]
    rows = rows_of(*cases).reset_index()
    summary = summarise(rows, CLASSES).set_index("metric")
    assert summary.loc["recall below 10 mm3", ["n", "value"]].tolist() == [2, 0.5]
    assert summary.loc["recall 100 to 1000 mm3", ["n", "value"]].tolist() == [3, 1]
    assert summary.loc["recall above 1000 mm3", "n"] == 0
    correlation = np.corrcoef([17, 17, 16], [16, 17, 8])[0, 1]
    dsc = (2 * 16 / 33 + 1 + 2 * 8 / 24) / 3
    assert summary.loc["ISBI score", "value"] == pytest.approx(dsc / 8 + 1 / 8 + 1 / 4 + 2.5 / 3 / 4 + correlation / 4)
    assert summary.loc["ISBI score", "n"] == 3
    assert summary.loc["LTPR", ["n", "value"]].tolist() == [3, pytest.approx(2.5 / 3)]


def test_rows_are_in_alphabetical_order():
    frame = rows_of(case("b", box(), None), case("a", box(), None))
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == ["a", "b"]
