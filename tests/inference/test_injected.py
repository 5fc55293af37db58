"""Lesions put into a scan: what is placed, what counts as found, and the grade."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from joint_seg_cls.inference import Findings
from joint_seg_cls.inference.injected import grade_of, trust
from joint_seg_cls.metrics import OfSize
from joint_seg_cls.preprocess import ByHeader, CropResize, NoBiasField, NoExtraction, Pipeline, TissueMode, ZScore

SHAPE = (80, 84, 76)
SPACING = (1.5, 1.5, 1.6)


def head(path, scale=200.0):
    """Write a head of white matter with a rim of cortex, fluid in the middle, and noise."""
    where = (np.argwhere(np.ones(SHAPE)) - (np.array(SHAPE) - 1) / 2) * SPACING
    radius = np.linalg.norm(where / [56, 58, 56], axis=1).reshape(SHAPE)
    data = np.select([radius < 0.2, radius < 0.9, radius < 1], [0.4, 1.0, 1.2], 0.0)
    noise = np.random.default_rng(0).normal(0, 0.03, SHAPE)
    data = np.where(data > 0, data + noise, 0) * scale
    nib.save(nib.Nifti1Image(data.astype(np.float32), np.diag([*SPACING, 1.0])), path)
    return path


@pytest.fixture(scope="module", params=[ZScore, TissueMode])
def prepared(request, tmp_path_factory):
    path = head(tmp_path_factory.mktemp("head") / "flair.nii.gz")
    pipeline = Pipeline(NoExtraction(), NoBiasField(), ByHeader(), CropResize(64), request.param(), "union")
    return pipeline.model_input([path], None)


def nothing(prepared):
    lesions = np.zeros(prepared.image.shape[1:], bool)
    return Findings(lesions.astype(np.float32), lesions, None, None)


def test_what_brightens_is_found_and_lies_in_white_matter(prepared):
    seen = []

    def predict(image):
        seen.append(image)
        lesions = image[0] > prepared.image[0] + 1e-3
        return Findings(lesions.astype(np.float32), lesions, None, None)

    found = trust(predict, prepared, nothing(prepared))
    assert found.grade == "A"
    assert len(seen) == 2
    assert found.recovery["above_1000_mm3"].reference > 0
    assert sum(each.reference for each in found.recovery.values()) >= 16
    record = found.record()
    assert record["recovery"]["100_to_1000_mm3"]["share"] == 1.0
    assert record["recovery"]["100_to_1000_mm3"]["low"] < 1.0
    inner = ndimage.binary_erosion(prepared.brain_mask, iterations=2)
    for image in seen:
        change = np.abs(image[0] - prepared.image[0])
        assert change.max() > 0.2
        assert change[~inner].max() < 0.05 * change.max()
        assert (change[~prepared.brain_mask] == 0).all()


def test_the_intensity_of_the_brightest_lesions_is_relative_to_white_matter(prepared):
    seen = []

    def predict(image):
        seen.append(image)
        return nothing(prepared)

    assert trust(predict, prepared, nothing(prepared)).grade == "D"
    white = np.median(prepared.image[0][prepared.brain_mask])
    fluid = np.quantile(prepared.image[0][prepared.brain_mask], 0.002)  # 0.4 of white matter
    unit = (white - fluid) / 0.6
    brightest = np.max([(image[0] - white).max() for image in seen]) / unit + 1
    assert 1.4 < brightest < 1.95


def test_lesions_that_are_there_are_avoided_and_a_crowded_scan_has_no_grade(prepared):
    before = nothing(prepared)
    before.lesions[:] = prepared.brain_mask
    found = trust(lambda _: before, prepared, before)
    assert found.grade is None
    assert "only 0 lesions could be placed" in found.reason


def test_a_network_that_does_not_segment_has_none(prepared):
    assert trust(lambda _: Findings(None, None, None, None), prepared, Findings(None, None, None, None)) is None


def test_a_standardised_scan_has_no_grade_and_a_reason(tmp_path):
    image = nib.load(head(tmp_path / "raw.nii.gz"))
    data = np.asarray(image.dataobj)
    standard = np.where(data > 0, (data - data[data > 0].mean()) / data[data > 0].std(), 0).astype(np.float32)
    nib.save(nib.Nifti1Image(standard, image.affine), tmp_path / "z.nii.gz")
    pipeline = Pipeline(NoExtraction(), NoBiasField(), ByHeader(), CropResize(32), ZScore(), "union")
    prepared = pipeline.model_input([tmp_path / "z.nii.gz"], None)
    found = trust(lambda _: nothing(prepared), prepared, nothing(prepared))
    assert found.grade is None
    assert "no intensity of white matter" in found.reason


@pytest.mark.parametrize(
    ("small", "large", "grade"),
    [
        ((8, 10), (9, 10), "A"),
        ((7, 10), (10, 10), "B"),
        ((0, 10), (8, 10), "B"),
        ((9, 10), (5, 10), "C"),
        ((0, 9), (4, 10), "D"),
    ],
)
def test_the_grade_follows_from_recovery(small, large, grade):
    assert grade_of(OfSize(small[1], small[0]), OfSize(large[1], large[0])) == grade
