"""A scan whose intensities are unlike the training images gets a warning."""

import numpy as np

from joint_seg_cls.inference import quantiles_of, ranges_of, unlike


def image(values, outside=1000):
    return np.concatenate([np.zeros(outside), values]).reshape(1, 1, 1, -1).astype(np.float32)


def test_quantiles_leave_out_the_background():
    found = quantiles_of(image(np.arange(1, 102)))
    assert found == {"0.25": 26.0, "0.5": 51.0, "0.75": 76.0, "0.95": 96.0}
    assert quantiles_of(np.zeros((1, 4, 4, 4), np.float32)) == {}


def test_a_scan_of_another_contrast_is_named_and_one_a_little_outside_is_not():
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
