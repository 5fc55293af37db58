"""A scan with intensities outside the range of the training images gets a warning."""

import numpy as np
import pytest

from joint_seg_cls.inference import TrainingScans, quantiles_of, ranges_of, scan_ranges, unlike, unlike_scan


def image(values, outside=1000):
    return np.concatenate([np.zeros(outside), values]).reshape(1, 1, 1, -1).astype(np.float32)


def test_quantiles_exclude_the_background():
    found = quantiles_of(image(np.arange(1, 102)))
    assert found == {"0.25": 26.0, "0.5": 51.0, "0.75": 76.0, "0.95": 96.0}
    assert quantiles_of(np.zeros((1, 4, 4, 4), np.float32)) == {}


def test_a_scan_with_another_contrast_gets_a_warning_and_a_slightly_different_one_does_not():
    rng = np.random.default_rng(0)
    trained = [image(level + 0.1 * rng.standard_normal(2000)) for level in np.linspace(0.95, 1.05, 41)]
    ranges = ranges_of(trained)
    low, high = ranges["0.5"]
    assert 0.94 < low < 0.97
    assert 1.03 < high < 1.06
    assert unlike(image(1.07 + 0.1 * rng.standard_normal(2000)), ranges) is None
    said = unlike(image(0.8 + 0.1 * rng.standard_normal(2000)), ranges)
    assert said is not None
    assert "in training" in said
    assert unlike(image(np.full(5, 9.0)), {}) is None


def test_a_scan_of_another_voxel_size_or_brain_volume_is_named():
    trained = scan_ranges([((1.0, 0.9, 3.0), float(ml)) for ml in np.linspace(1000, 1400, 41)])
    assert trained["longest_mm"] == (3.0, 3.0)
    assert trained["brain_ml"] == pytest.approx((1010, 1390))
    assert unlike_scan((0.9, 1.0, 3.7), 1580.0, trained) == []
    said = unlike_scan((1.0, 1.0, 5.0), 400.0, trained)
    assert [sentence.partition(" is ")[0] for sentence in said] == ["the longest voxel side", "the brain volume"]
    assert "5 mm, in training 3 to 3 mm" in said[0]
    assert unlike_scan((9.0, 9.0, 9.0), 1.0, {}) == []
    assert scan_ranges([]) == {}


def test_a_cortex_darker_than_white_matter_is_doubted_on_a_flair_alone():
    assert TrainingScans(modality="flair").dark_cortex(0.97) == []
    assert TrainingScans(modality="flair").dark_cortex(None) == []
    (said,) = TrainingScans(modality="flair").dark_cortex(0.84)
    assert said.startswith("the cortex has 0.84 of the brightness of white matter, as on a T1")
    assert TrainingScans(modality="t1").dark_cortex(0.84) == []


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("patient12_study1_t1.nii.gz", "T1"),
        ("sub-01_ses-2_T1w.nii.gz", "T1W"),
        ("SAG-MPRAGE.nii", "MPRAGE"),
        ("sub-01_acq-t2w_FLAIR.nii.gz", None),
        ("t1-protocol_3dflair.nii.gz", None),
        ("patient1_visit1.nii.gz", None),
    ],
)
def test_a_file_named_as_another_modality_is_doubted(name, word):
    scan = (image(np.ones(3)), (1.0, 1.0, 1.0), 1200.0, name)
    said = TrainingScans(modality="flair").differences(*scan)
    assert said == ([] if word is None else [f"the file is named as {word}; check that the scan is a FLAIR"])
    assert TrainingScans(modality="t1").differences(*scan) == []
