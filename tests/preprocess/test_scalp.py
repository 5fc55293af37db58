"""Skin and scalp at the surface of an extracted mask are removed; lesions and the brain are kept."""

import numpy as np
import pytest

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.preprocess import Bet
from joint_seg_cls.preprocess.scalp import remove_scalp, remove_skin
from joint_seg_cls.scan import Grid


def head(spacing=(1.0, 1.0, 1.0)):
    """Return a brain of radius 40 mm with a lesion inside, below a cap of fat 6 mm thick, and a mask of both."""
    shape = tuple(round(120 / step) for step in spacing)
    x, y, z = (
        (np.arange(n) - (n - 1) / 2).reshape([-1 if axis == own else 1 for axis in range(3)]) * step
        for own, (n, step) in enumerate(zip(shape, spacing, strict=True))
    )
    radius = np.sqrt(x**2 + y**2 + z**2)
    noise = np.random.default_rng(0).normal(0, 3, shape)
    image = np.where(radius < 52, 100 + noise, 5.0)
    lesion = np.sqrt((x - 25) ** 2 + y**2 + z**2) < 6
    fat = (radius >= 44) & (radius < 50) & (z > 30)
    dark = (radius >= 40) & (radius < 44) & (z > 30)
    image[lesion], image[fat], image[dark] = 200, 300, 20
    mask = (radius < 40) | (fat | dark)
    return mask, image, Grid(shape, np.diag([*spacing, 1.0])), lesion, fat


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 5.0), (4.0, 1.0, 1.0)])
def test_a_cap_of_fat_is_removed_and_a_lesion_is_kept(spacing):
    mask, image, grid, lesion, fat = head(spacing)
    cleaned = remove_scalp(mask, image, grid, 1.7)
    assert not (cleaned & fat).any()
    assert cleaned[lesion].all()
    assert not (cleaned & ~mask).any()
    assert (cleaned & (image > 50)).sum() > 0.97 * (mask & (image > 50) & ~fat).sum()


def test_a_mask_without_scalp_is_unchanged():
    mask, image, grid, _, fat = head()
    brain = mask & ~fat & (image > 50)
    assert np.array_equal(remove_scalp(brain, image, grid, 1.7), brain)
    assert np.array_equal(remove_scalp(mask & ~mask, image, grid, 1.7), mask & ~mask)


def test_the_brightness_of_scalp_lies_above_that_of_the_brain():
    with pytest.raises(ConfigError, match=r"preprocess\.brain\.extractor\.scalp"):
        Bet(scalp=0.9)


def test_a_mask_begins_below_the_skin():
    _, image, _, lesion, _ = head()
    depth = 52 - radius_in_mm(image.shape)
    cleaned = remove_skin(depth > -3, image, 1.0, 7)
    assert not cleaned[depth < 5].any()
    assert cleaned[(depth > 10) & (image > 50)].all()
    assert cleaned[lesion].all()


def test_a_nostril_is_not_outside():
    _, image, _, _, _ = head()
    x, y, z = np.indices(image.shape) - (np.array(image.shape) - 1).reshape(3, 1, 1, 1) / 2
    image[(np.hypot(x, z) < 5) & (y > 0)] = 5.0
    cleaned = remove_skin(radius_in_mm(image.shape) < 52, image, 1.0, 7)
    assert cleaned[radius_in_mm(image.shape) < 35].all()


def test_a_field_of_view_that_cuts_the_head_has_no_skin_at_its_border():
    _, image, _, _, _ = head()
    mask, cut = radius_in_mm(image.shape)[:, :, 40:] < 52, image[:, :, 40:]
    cleaned = remove_skin(mask, cut, 1.0, 7)
    assert cleaned[50:70, 50:70, 0].all()


def test_an_empty_mask_stays_empty():
    _, image, _, _, _ = head()
    assert not remove_skin(np.zeros(image.shape, dtype=bool), image, 1.0, 7).any()


def test_without_air_around_the_head_a_mask_is_unchanged():
    _, image, _, _, _ = head()
    mask = radius_in_mm(image.shape) < 52
    assert np.array_equal(remove_skin(mask, np.maximum(image, 60), 1.0, 7), mask)


def radius_in_mm(shape):
    """Return the distance of each voxel of 1 mm from the centre of the volume."""
    return np.sqrt(((np.indices(shape) - (np.array(shape) - 1).reshape(3, 1, 1, 1) / 2) ** 2).sum(axis=0))
