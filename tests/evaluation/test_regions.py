"""Detection and volume by anatomical region: hand-computed, and withheld where the template does not fit."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.evaluation import TestCase, evaluate_cases, print_summary, summarise, write_evaluation
from joint_seg_cls.evaluation.regions import summarise_regions
from joint_seg_cls.inference import Predictor
from joint_seg_cls.lesions import REGIONS, region_key
from joint_seg_cls.report.per_case import read_per_case
from joint_seg_cls.scan import Geometry

VOXEL_ML = 0.027


class Drawn(nn.Module):
    """Predicts a given mask."""

    def __init__(self, mask):
        super().__init__()
        self.mask = torch.from_numpy(mask)

    def forward(self, image):
        return Prediction(lesion_logits=torch.where(self.mask, 9.0, -9.0).expand(1, 1, -1, -1, -1))


def evaluated(head, predicted, reference, name="a", brain=None):
    image, own_brain, grid, _ = head
    brain = own_brain if brain is None else brain
    case = TestCase(name, name, None, "MS", image[None], Geometry(grid, grid), reference, reference, brain)
    predictor = Predictor(Drawn(predicted), 0.5)
    return evaluate_cases(iter([case]), predictor, total=1, classes=("MS", "NMOSD"), fold=0)


def at(grid, *places):
    """Return a mask of single voxels at positions in MNI millimetres."""
    mask = np.zeros(grid.shape, bool)
    for place in places:
        mask[tuple(np.round(np.linalg.solve(grid.affine, [*place, 1])[:3]).astype(int))] = True
    return mask


@pytest.fixture(scope="module")
def rows(template_head):
    """One scan: the periventricular lesion is detected, the cerebellar one missed; two false ones in the callosum."""
    _, _, grid, lesions = template_head
    upper = lesions.copy()
    upper[:, :, : int(np.linalg.solve(grid.affine, [0, 0, 0, 1])[2])] = False
    return evaluated(template_head, upper | at(grid, (0, 22, 12), (0, -36, 14)), lesions)


def test_lesions_are_counted_and_measured_by_region(rows):
    row = rows.iloc[0]
    assert row["regions_withheld"] == ""

    def of(region):
        names = ("lesions_reference", "lesions_detected", "lesions_predicted", "lesions_false")
        volumes = [row[f"volume_{side}_{region}_ml"] for side in ("reference", "predicted")]
        return [row[f"{name}_{region}"] for name in names] + volumes

    assert of("periventricular") == [1, 1, 1, 0, pytest.approx(3 * VOXEL_ML), pytest.approx(3 * VOXEL_ML)]
    assert of("infratentorial") == [1, 0, 0, 0, pytest.approx(3 * VOXEL_ML), 0]
    assert of("corpus_callosum") == [0, 0, 2, 2, 0, pytest.approx(2 * VOXEL_ML)]
    assert of("deep_grey") == [0] * 6
    for side in ("reference", "predicted", "detected", "false"):
        assert sum(row[f"lesions_{side}_{region_key(region)}"] for region in REGIONS) == row[f"lesions_{side}"]


def test_regions_of_scans_are_pooled(rows, template_head, tmp_path, capsys):
    _, brain, _, lesions = template_head
    half = brain.copy()
    half[:, :, 30:] = False
    both = pd.concat(
        [rows, evaluated(template_head, lesions, lesions, "b"), evaluated(template_head, lesions, lesions, "c", half)],
        ignore_index=True,
    )
    found = summarise_regions(both).set_index("region")
    wanted = found.loc["infratentorial"]
    assert wanted[["scans", "lesions_reference", "lesions_detected", "recall"]].tolist() == [2, 2, 1, 0.5]
    assert wanted["difference_ml"] == pytest.approx(-1.5 * VOXEL_ML)
    assert (wanted["recall_low"], wanted["recall_high"]) == (0, 1)
    assert found.loc["corpus callosum", ["lesions_predicted", "false_share"]].tolist() == [2, 1]
    assert np.isnan(found.loc["corpus callosum", "recall"])
    print_summary(both, summarise(both, ("MS", "NMOSD")), "a run")
    text = " ".join(capsys.readouterr().out.split())
    assert "regions are withheld for 1 of 3 scans: dark share of the ventricles " in text
    assert "means over 2 scans" in text
    write_evaluation(both, summarise(both, ("MS", "NMOSD")), tmp_path)
    assert pd.read_csv(tmp_path / "regions.csv")["region"].tolist() == list(REGIONS)
    again = read_per_case(tmp_path / "per_case.csv", 3)
    assert again["regions_withheld"].tolist()[:2] == ["", ""]
    assert again["regions_withheld"].iloc[2].startswith("dark share of the ventricles ")
    write_evaluation(both.iloc[2:], summarise(both, ("MS", "NMOSD")), tmp_path)
    assert not (tmp_path / "regions.csv").exists(), "that of an earlier test"


def test_without_a_reference_only_the_prediction_has_regions(template_head):
    row = evaluated(template_head, template_head[3], None).iloc[0]
    assert row["lesions_predicted_periventricular"] == 1
    assert row[["lesions_reference_periventricular", "lesions_false_periventricular"]].isna().all()
    assert summarise_regions(pd.DataFrame([row]))["scans"].tolist() == [0] * len(REGIONS)
