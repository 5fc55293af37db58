"""Findings of a known network are at the correct position on the scan's own grid."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.errors import ScanError
from joint_seg_cls.evaluation import TestCase, evaluate_cases
from joint_seg_cls.inference import Findings, Predictor, case_findings, write_findings, write_predictions
from joint_seg_cls.metrics import task_metrics
from joint_seg_cls.preprocess import ByHeader, CropResize, NoBiasField, NoExtraction, Pipeline, ZScore
from joint_seg_cls.scan import Geometry, Grid

AFFINE = np.array([[-1.2, 0.1, 0, 40], [0.1, -1.2, 0.2, 50], [0, 0.2, 2.4, -30], [0, 0, 0, 1]])
SHAPE = (41, 45, 27)


class Bright(nn.Module):
    """Calls bright voxels lesion, and the second class the likelier the brighter the scan."""

    def forward(self, image):
        maps = tuple(torch.full((1, 2, s, s, s), float(i + 1)) for i, s in enumerate((4, 8, 16)))
        maps[2][:, 1] = 5.0
        return Prediction(
            lesion_logits=10 * (image[:, :1] - 2),
            scale_logits=None,
            disease_logits=torch.tensor([[0.0, 1.0]]),
            location_maps=maps,
        )


class DiseaseOnly(nn.Module):
    def forward(self, image):
        return Prediction(disease_logits=torch.tensor([[2.0, 0.0, 1.0]]))


@pytest.fixture
def scan(tmp_path):
    """A stripped brain with one bright box, on an oblique LPS grid."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    brain = (((index - [20, 22, 13]) / [16, 18, 10]) ** 2).sum(axis=-1) < 1
    data = np.where(brain, np.random.default_rng(0).normal(100, 5, SHAPE), 0).astype(np.float32)
    box = np.zeros(SHAPE, bool)
    box[16:24, 18:27, 10:15] = True
    data[box] = 250
    path = tmp_path / "my scan.nii.gz"
    image = nib.Nifti1Image(data, AFFINE)
    image.set_sform(AFFINE, 4)
    image.set_qform(AFFINE, 1)
    nib.save(image, path)
    return path, box


@pytest.fixture
def pipeline():
    return Pipeline(NoExtraction(), NoBiasField(), ByHeader(), CropResize(48), ZScore("brain"), "intersection")


def test_probabilities_are_at_the_temperature_and_the_others_are_kept():
    image = np.zeros((1, 16, 16, 16), np.float32)
    found = Predictor(DiseaseOnly(), 0.5, temperature=2.0)(image)
    np.testing.assert_allclose(found.disease_probability, np.exp([1, 0, 0.5]) / np.exp([1, 0, 0.5]).sum())
    np.testing.assert_allclose(found.uncalibrated_probability, np.exp([2, 0, 1]) / np.exp([2, 0, 1]).sum())


@pytest.mark.parametrize("field", ["lesion_logits", "disease_logits", "location_maps"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_outputs_are_an_error_of_the_scan(field, value):
    class Broken(nn.Module):
        def forward(self, image):
            broken = torch.full((1, 2, 4, 4, 4), value)
            whole = Prediction(image[:, :1], None, torch.tensor([[0.0, 1.0]]), (torch.zeros(1, 2, 4, 4, 4),) * 3)
            fields = {"lesion_logits": image * value, "disease_logits": broken[:, :, 0, 0, 0]}
            return whole._replace(**{field: fields.get(field, (whole.location_maps[0], broken, broken))})

    image = np.ones((1, 32, 32, 32), np.float32)
    with pytest.raises(ScanError, match=r"p1\.nii: expected finite outputs of the network, found NaN or infinity"):
        Predictor(Broken(), 0.5)(image, "p1.nii")


def test_a_bright_lesion_is_segmented_at_its_position(scan, pipeline):
    path, box = scan
    seen = pipeline.model_input([path], None)
    predictor = Predictor(Bright(), lesion_threshold=0.5)
    native = predictor.in_native_space(predictor(seen.image), seen.geometry)
    assert native.lesions.shape == SHAPE
    assert 2 * (native.lesions & box).sum() / (native.lesions.sum() + box.sum()) > 0.9
    np.testing.assert_allclose(native.disease_probability, np.exp([0, 1]) / np.exp([0, 1]).sum())


def test_location_map_is_the_sum_of_the_scales_of_the_predicted_class():
    found = Predictor(Bright(), 0.5)(np.zeros((1, 32, 32, 32), np.float32))
    np.testing.assert_allclose(found.location_map, 1 + 2 + 5, atol=1e-5)


def test_the_threshold_selects_lesion_voxels():
    image = np.full((1, 16, 16, 16), 2.05, np.float32)  # probability sigmoid(0.5) = 0.62
    assert Predictor(Bright(), 0.6)(image).lesions.all()
    assert not Predictor(Bright(), 0.65)(image).lesions.any()


class Even(nn.Module):
    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, image):
        return Prediction(lesion_logits=image[:, :1] * 0 + self.logit)


@pytest.mark.parametrize(("logit", "is_lesion"), [(0.0, 1.0), (-1e-6, 0.0)])
def test_a_voxel_at_the_threshold_is_a_lesion_in_validation_evaluation_and_prediction(logit, is_lesion):
    network, image = Even(logit), np.zeros((1, 16, 16, 16), np.float32)  # a probability of 0.5, or just below
    whole = np.ones(image.shape[1:], bool)
    yes, no = torch.ones(1, dtype=torch.bool), torch.zeros(1, dtype=torch.bool)
    batch = Batch(torch.from_numpy(image)[None], torch.ones(1, 1, 16, 16, 16), torch.zeros(1).long(), yes, no, ["a"])
    metrics = task_metrics(lesion_threshold=0.5, classes=2)
    metrics.update(network(batch.image), batch)
    grid = Grid(whole.shape, np.diag([2.0, 2.0, 2.0, 1.0]))
    case = TestCase("a", "a", None, None, image, Geometry(grid, grid), whole, whole, whole)
    predictor = Predictor(network, 0.5)
    rows = evaluate_cases(iter([case]), predictor, total=1, classes=("MS", "NMOSD"), fold=0)
    found = predictor.in_native_space(predictor(image), case.geometry)
    assert float(metrics.compute()["dice"]) == is_lesion
    assert rows[["dsc", "dsc_model"]].iloc[0].tolist() == [is_lesion] * 2
    assert found.lesions.mean() == is_lesion


class LeftSided(nn.Module):
    """Segments the left half, and predicts the second class there."""

    def forward(self, image):
        near = torch.linspace(4, -4, image.shape[2]).reshape(1, 1, -1, 1, 1)
        lesion = near + 3 * image
        maps = tuple(
            torch.ones(len(image), 2, s, s, s) * lesion.mean(dim=(1, 2, 3, 4)).reshape(-1, 1, 1, 1, 1)
            for s in (2, 4, 8)
        )
        score = (image * near).mean(dim=(1, 2, 3, 4))
        return Prediction(lesion, None, torch.stack([-score, score], 1), maps)


def test_views_by_flips_average_the_scan_and_its_mirror_image():
    image = np.random.default_rng(1).normal(size=(1, 16, 16, 16)).astype(np.float32)
    one = Predictor(LeftSided(), 0.5)
    both = Predictor(LeftSided(), 0.5, views="flips")
    here, mirrored = one(image), one(image[:, ::-1].copy())
    found = both(image)
    np.testing.assert_allclose(
        found.lesion_probability, (here.lesion_probability + mirrored.lesion_probability[::-1]) / 2, rtol=1e-6
    )
    assert np.abs(found.lesion_probability - here.lesion_probability).max() > 0.1
    expected = (here.disease_probability + mirrored.disease_probability) / 2
    np.testing.assert_allclose(found.disease_probability, expected, rtol=1e-6)
    np.testing.assert_allclose(
        both(image[:, ::-1].copy()).lesion_probability, found.lesion_probability[::-1], rtol=1e-6
    )


class Counting(nn.Module):
    """Calls voxels above 0 lesions, and the scan the second class the more of them it sees."""

    def __init__(self, tasks):
        super().__init__()
        self.tasks, self.seen = tasks, []

    def forward(self, image):
        self.seen.append(tuple(image.shape))
        score = (image > 0).float().mean(dim=(1, 2, 3, 4))
        return Prediction(20 * image, None, torch.stack([-score, score], 1))


def test_patches_cover_the_image_and_the_disease_uses_the_whole_image():
    image = np.random.default_rng(2).normal(size=(1, 32, 48, 32)).astype(np.float32)
    joint, alone = Counting(("lesions", "disease")), Counting(("lesions",))
    found = Predictor(joint, 0.5, views="flips", window=(16, 32, 64))(image)
    np.testing.assert_array_equal(found.lesions, image[0] > 0)  # voxel-wise, so that patches change no result
    score = (image > 0).mean()
    np.testing.assert_allclose(found.disease_probability[1], 1 / (1 + np.exp(-2 * score)), rtol=1e-5)
    assert joint.seen[0] == (2, 1, 32, 48, 32)
    assert {shape[2:] for shape in joint.seen[1:]} == {(16, 32, 32)}
    Predictor(alone, 0.5, window=(16, 32, 64))(image)
    assert {shape[2:] for shape in alone.seen} == {(16, 32, 32)}


def test_small_lesions_are_dropped_by_their_volume_in_the_scans_grid(scan, pipeline):
    path, _ = scan
    seen = pipeline.model_input([path], None)
    every = Predictor(Bright(), 0.5)
    native = every.in_native_space(every(seen.image), seen.geometry)
    volume_mm3 = native.lesions.sum() * seen.geometry.native.voxel_ml * 1000
    for least, kept in ((0.99 * volume_mm3, True), (1.01 * volume_mm3, False)):
        predictor = Predictor(Bright(), 0.5, least_lesion_mm3=least)
        found = predictor.in_native_space(predictor(seen.image), seen.geometry)
        assert found.lesions.any() == kept
        np.testing.assert_array_equal(found.lesion_probability, native.lesion_probability)


def test_a_network_without_segmentation_finds_no_masks(scan, pipeline, tmp_path):
    path, _ = scan
    seen = pipeline.model_input([path], None)
    predictor = Predictor(DiseaseOnly(), 0.5)
    found = predictor.in_native_space(predictor(seen.image), seen.geometry)
    assert found.lesions is None
    assert found.location_map is None
    case = case_findings("a", seen, found, classes=["MS", "NMOSD", "MOGAD"], model={})
    record = write_findings(case, tmp_path / "out")
    assert record["disease"] == "MS"
    assert "lesion_count" not in record
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.json"]


def test_written_volumes_have_the_scans_grid_and_the_record_its_numbers(scan, pipeline, tmp_path):
    path, _ = scan
    seen = pipeline.model_input([path], None)
    predictor = Predictor(Bright(), 0.5)
    found = predictor.in_native_space(predictor(seen.image), seen.geometry)
    out = tmp_path / "out"
    case = case_findings("my scan", seen, found, classes=["MS", "NMOSD"], model={"variant": "joint"})
    record = write_findings(case, out)
    source = nib.load(path)
    for name, dtype in (("lesions", np.uint8), ("lesion-probability", np.float32), ("location-map", np.float32)):
        written = nib.load(out / f"my scan_{name}.nii.gz")
        assert written.shape == source.shape
        np.testing.assert_array_equal(written.affine, source.affine)
        assert nib.aff2axcodes(written.affine) == nib.aff2axcodes(source.affine)
        for field in ("qform_code", "sform_code", "xyzt_units", "quatern_b", "qoffset_x"):
            np.testing.assert_array_equal(written.header[field], source.header[field])
        assert written.get_data_dtype() == dtype
    np.testing.assert_array_equal(np.asarray(nib.load(out / "my scan_lesions.nii.gz").dataobj), found.lesions)
    table = pd.read_csv(out / "my scan_lesions.tsv", sep="\t")
    assert len(table) == record["lesion_count"] == 1
    assert record["lesion_volume_ml"] == pytest.approx(found.lesions.sum() * abs(np.linalg.det(AFFINE)) / 1000)
    assert table["volume_ml"].sum() == pytest.approx(record["lesion_volume_ml"], rel=1e-4)
    assert record["disease_probability"]["NMOSD"] == pytest.approx(0.7311, abs=1e-4)
    assert any("brain volume" in warning for warning in record["warnings"])  # the ball has 35 mL
    write_predictions([record], out)
    row = pd.read_csv(out / "predictions.tsv", sep="\t").iloc[0]
    assert (row["id"], row["disease"], row["lesion_count"]) == ("my scan", "NMOSD", 1)
    (out / "other.json").write_text("[]")
    write_predictions([{**record, "id": "next"}], out)
    assert pd.read_csv(out / "predictions.tsv", sep="\t")["id"].tolist() == ["next", "my scan"]
    assert not list(out.glob("*partial*"))


def test_findings_outside_the_crop_are_zero(scan, pipeline):
    path, _ = scan
    seen = pipeline.model_input([path], None)
    everywhere = np.ones((48, 48, 48), np.float32)
    findings = Findings(everywhere, everywhere > 0, None, None)
    native = Predictor(Bright(), 0.5).in_native_space(findings, seen.geometry)
    brain = seen.geometry.to_native(seen.brain_mask, linear=False)
    assert native.lesions[brain].all()
    assert not native.lesions[0].any()
