"""Normalisation by the mode of tissue."""

import numpy as np
import pytest

from joint_seg_cls.errors import ScanError
from joint_seg_cls.preprocess import TissueMode, ZScore, tissue_mode


def scan(lesions: float = 0.0, white: float = 300.0, seed: int = 0):
    """Return a volume with 45 % white matter, 40 % cortex at 1.2, the rest fluid, and a share of it lesion at 1.5."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, size=(24, 25, 26), p=(0.45, 0.40, 0.15))
    image = white * np.array([1.0, 1.2, 0.3])[kind]
    image[rng.random(image.shape) < lesions] = 1.5 * white
    brain = np.zeros(image.shape, bool)
    brain[2:-2, 2:-2, 2:-2] = True
    return (image * rng.normal(1, 0.04, image.shape)).astype(np.float32), brain


def test_white_matter_is_near_one_and_the_outside_is_zero():
    image, brain = scan()
    scaled = TissueMode()(image, brain)
    assert scaled.dtype == np.float32
    assert not scaled[~brain].any()
    assert np.median(scaled[brain & (image > 250) & (image < 330)]) == pytest.approx(1, abs=0.04)


def test_it_is_independent_of_the_units_of_the_file():
    image, brain = scan()
    assert np.allclose(TissueMode()(image, brain), TissueMode()(37 * image, brain), atol=1e-4)


def test_lesions_hardly_affect_it_but_affect_the_z_score():
    few, many = (scan(share)[0] for share in (0.0, 0.08))
    brain = scan()[1]
    healthy = brain & (few > 250) & (few < 330) & (many < 330)
    drift = [
        abs(float(np.median(step(many, brain)[healthy]) - np.median(step(few, brain)[healthy])))
        for step in (TissueMode(), ZScore())
    ]
    assert drift[0] < 0.02
    assert drift[1] > 0.05


def test_bright_remains_are_clipped():
    image, brain = scan()
    image[5, 5, 5] = 40 * image.max()
    assert TissueMode()(image, brain).max() == 3


def test_a_constant_brain_is_its_mode():
    assert tissue_mode(np.full(100, 7.0)) == 7.0


@pytest.mark.parametrize(
    ("change", "found"), [(lambda x: (x - x.mean()) / x.std(), "below 0"), (np.zeros_like, "none above 0")]
)
def test_a_standardised_scan_is_refused(change, found):
    image, brain = scan()
    with pytest.raises(ScanError, match=found):
        TissueMode()(change(image), brain)
