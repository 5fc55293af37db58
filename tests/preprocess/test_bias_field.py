"""N4 removes a known field at any voxel size and orientation, and leaves a flat image flat."""

import os
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from joint_seg_cls.config.build import build
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.phantom import simulate_scans
from joint_seg_cls.preprocess import N4, NoBiasField
from joint_seg_cls.scan import Grid, read_mask, read_scan

SCANS = os.environ.get("JSC_TEST_SCANS")
RAW = sorted(Path(SCANS).glob("open_ms/raw/*_brain_mask.nii.gz")) if SCANS else []


def phantom(site, subjects=40):
    """Return a simulated scan of ``site`` with its brain and grid."""

    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cohort = build(compose("phantom", ["phantom=clear", "out=unused", f"subjects={subjects}"]).phantom)
    subject = next(k for k in range(1, subjects + 1) if cohort.person(k, 1)["site"] == site)
    scan = next(simulate_scans(cohort, subject, spacing_mm=2, raters=1))
    return scan.flair.astype(np.float32), scan.brain_mask, scan.grid


def field_over(shape, strength=0.35):
    """Return a smooth field, e to the power of at most about ``strength``."""
    x, y, z = (
        np.linspace(-1, 1, n).reshape([-1 if axis == k else 1 for k in range(3)]) for axis, n in enumerate(shape)
    )
    return np.exp(strength * (0.7 * x - 0.5 * y * y + 0.4 * x * z + 0.3 * z)).astype(np.float32)


def ball(shape=(45, 51, 39)):
    steps = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"), axis=-1)
    return np.linalg.norm(steps, axis=-1) < 0.85


GRID = Grid((45, 51, 39), np.diag([-3.0, -3.0, 3.0, 1.0]))


@pytest.mark.parametrize("site", ["hill", "river"])  # 1.7 x 1.7 x 3.8 mm oblique; 2 mm sagittal
def test_a_simulated_field_is_recovered(site):
    image, brain, grid = phantom(site)
    plain = N4()(image, grid, brain).image
    field = field_over(image.shape)
    corrected = N4()(image * field, grid, brain)
    whole = (image * field)[brain] / corrected.image[brain]
    further = whole / (image[brain] / plain[brain])  # beyond the phantom's own field
    assert np.corrcoef(np.log(further), np.log(field[brain]))[0, 1] > 0.97
    # both the phantom's field and the added one are removed: the brains differ only by a factor
    ratio = np.log(corrected.image[brain] / plain[brain])
    assert np.median(np.abs(ratio - np.median(ratio))) < 0.02
    low, high = np.percentile(whole, (1, 99))
    assert corrected.field_p99_over_p1 == pytest.approx(high / low, rel=0.01)


def test_a_flat_image_remains_flat():
    brain = ball()
    corrected = N4()(np.where(brain, 250, 0).astype(np.float32), GRID, brain)
    np.testing.assert_allclose(corrected.image[brain], 250, rtol=1e-5)
    assert corrected.field_p99_over_p1 == pytest.approx(1)


def test_noise_around_one_value_gets_hardly_any_field():
    brain = ball()
    image = np.random.default_rng(0).normal(250, 5, brain.shape).astype(np.float32)
    corrected = N4()(image, GRID, brain)
    assert corrected.field_p99_over_p1 < 1.03
    assert corrected.image[brain].mean() == pytest.approx(250, rel=0.01)


def test_the_brightness_of_the_brain_is_kept():
    brain = ball()
    image = np.where(brain, 100.0, 0) * field_over(brain.shape) * 10
    corrected = N4()((image + 1e-3 * np.arange(image.size).reshape(image.shape) % 7).astype(np.float32), GRID, brain)
    ratio = image[brain] / corrected.image[brain]
    assert np.median(ratio) == pytest.approx(1, abs=0.01)


def test_voxels_without_a_logarithm_are_corrected_but_not_used():
    image, brain, grid = phantom("river")
    rng = np.random.default_rng(0)
    holes = brain & (rng.random(brain.shape) < 0.02)
    spoiled = np.where(holes, rng.choice(np.float32([0, -300]), brain.shape), image)
    corrected = N4()(spoiled, grid, brain)
    assert np.isfinite(corrected.image).all()
    assert (corrected.image[holes & (spoiled == 0)] == 0).all()
    assert (corrected.image[spoiled < 0] < 0).all()  # the field is positive
    whole = N4()(image, grid, brain)
    ratio = np.log(whole.image[brain & ~holes] / corrected.image[brain & ~holes])
    assert np.median(np.abs(ratio - np.median(ratio))) < 0.01


@pytest.mark.parametrize("values", [-5.0, 0.0])
def test_an_image_without_positive_voxels_is_unchanged(values):
    image = np.full(GRID.shape, values, dtype=np.float32)
    corrected = N4()(image, GRID, ball())
    np.testing.assert_array_equal(corrected.image, image)
    assert corrected.field_p99_over_p1 == 1


def test_the_field_is_reproducible_and_the_input_unchanged():
    image, brain, grid = phantom("hill")
    before = image.copy()
    first, second = (N4(iterations=[10, 10])(image, grid, brain) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(image, before)
    assert first.image.dtype == np.float32
    assert first.image.flags.owndata


@pytest.mark.parametrize("shape", [(9, 11, 7), (5, 40, 41), (33, 2, 35)])
def test_small_and_thin_images_work(shape):
    rng = np.random.default_rng(0)
    image = rng.normal(100, 10, shape).astype(np.float32) * field_over(shape)
    grid = Grid(shape, np.diag([1.0, 2.0, 5.0, 1.0]))
    corrected = N4()(image, grid, np.ones(shape, bool))
    assert np.isfinite(corrected.image).all()


def test_without_correction_the_image_is_unchanged():
    image, brain = np.random.default_rng(0).random(GRID.shape, dtype=np.float32), ball()
    corrected = NoBiasField()(image, GRID, brain)
    np.testing.assert_array_equal(corrected.image, image)
    assert corrected.field_p99_over_p1 is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"shrink_factor": 0}, "shrink_factor"),
        ({"iterations": []}, "iterations"),
        ({"iterations": [50, 0]}, "iterations"),
        ({"convergence": 0}, "convergence"),
    ],
)
def test_settings_out_of_range_are_refused_with_their_key(arguments, named):
    with pytest.raises(ConfigError, match=f"preprocess.bias_field.{named}"):
        N4(**arguments)


@pytest.mark.slow
@pytest.mark.skipif(not RAW, reason="JSC_TEST_SCANS does not name a folder with open_ms/raw/*_brain_mask.nii.gz")
def test_subsampling_gives_the_same_field_on_a_real_scan():
    scan = read_scan(str(RAW[0]).replace("_brain_mask", "_flair"))
    brain = read_mask(RAW[0], scan.grid)
    few, more = (N4(shrink)(scan.data, scan.grid, brain).image for shrink in (4, 2))
    inside = brain & (scan.data > 0)
    ratio = np.log(few[inside] / more[inside])
    assert np.median(np.abs(ratio - np.median(ratio))) < 0.01
