"""Augmentation: what MONAI's transforms give, image and mask alike, zeros outside."""

import numpy as np
import pytest
import torch
from monai.transforms import Flip, Rotate

from joint_seg_cls.data import RandFlipRotated
from joint_seg_cls.data.draws import random_state


def ball(shape: tuple[int, int, int], radius: float, centre: tuple[float, float, float]) -> torch.Tensor:
    offsets = np.moveaxis(np.indices(shape), 0, -1) - np.array(centre)
    return torch.from_numpy((np.linalg.norm(offsets, axis=-1) < radius).astype(np.float32))[None]


def draws(transform: RandFlipRotated, count: int) -> list[tuple[int | None, tuple[float, float, float] | None]]:
    drawn = []
    for number in range(count):
        transform.set_random_state(state=random_state("test", number))
        transform.randomize()
        drawn.append((transform.flip_axis, transform.angles_rad))
    return drawn


def test_flips_and_rotations_come_as_often_as_asked_and_over_the_whole_range():
    drawn = draws(RandFlipRotated(0.5, 0.25, 15.0), 2000)
    axes = [axis for axis, _ in drawn if axis is not None]
    angles = np.rad2deg([angles for _, angles in drawn if angles is not None])
    assert len(axes) == pytest.approx(1000, abs=90)  # four standard deviations
    assert len(angles) == pytest.approx(500, abs=80)
    assert np.bincount(axes, minlength=3) == pytest.approx(len(axes) / 3, abs=65)
    assert sum(axis is not None and angles is not None for axis, angles in drawn) == pytest.approx(250, abs=60)
    assert (np.abs(angles) <= 15).all()
    assert (angles.min(axis=0) < -14).all()
    assert (angles.max(axis=0) > 14).all()
    assert np.abs(np.corrcoef(angles.T)[np.triu_indices(3, 1)]).max() < 0.2


@pytest.mark.parametrize("shape", [(16, 16, 16), (20, 17, 14)])
def test_the_result_is_what_monai_s_flip_and_rotation_give(shape):
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32))
    mask = ball(shape, 4.3, (8.2, 7.1, 6.4))
    transform = RandFlipRotated(0.7, 1.0, 15.0)
    for number in range(6):
        transform.set_random_state(state=random_state("test", number))
        moved = transform({"image": image, "lesion_mask": mask})
        assert transform.angles_rad is not None
        flip = Flip(transform.flip_axis) if transform.flip_axis is not None else torch.as_tensor
        expected = Rotate(transform.angles_rad, padding_mode="zeros")(flip(image))
        torch.testing.assert_close(moved["image"], torch.as_tensor(expected.as_tensor()), atol=2e-4, rtol=0)
        nearest = Rotate(transform.angles_rad, padding_mode="zeros", mode="nearest")(flip(mask)).as_tensor()
        assert (moved["lesion_mask"] != nearest).float().mean() < 1e-3  # ties of the rounding


def test_a_flip_alone_moves_voxels_without_changing_them():
    image = torch.arange(60.0).reshape(1, 3, 4, 5)
    transform = RandFlipRotated(1.0, 0.0, 15.0)
    seen = set()
    for number in range(20):
        transform.set_random_state(state=random_state("test", number))
        moved = transform({"image": image, "lesion_mask": image > 30})
        axis = transform.flip_axis
        assert axis is not None
        seen.add(axis)
        assert torch.equal(moved["image"], torch.from_numpy(np.flip(image.numpy(), 1 + axis).copy()))
        assert torch.equal(moved["lesion_mask"], moved["image"] > 30)
    assert seen == {0, 1, 2}


def test_a_mask_made_from_the_image_stays_where_the_image_shows_it():
    image = ball((24, 24, 24), 5.0, (15.0, 9.0, 12.0))
    transform = RandFlipRotated(0.5, 1.0, 15.0)
    for number in range(8):
        transform.set_random_state(state=random_state("test", number))
        moved = transform({"image": image, "lesion_mask": image})
        mask, seen = moved["lesion_mask"] > 0, moved["image"] > 0.5
        overlap = 2 * (mask & seen).sum() / (mask.sum() + seen.sum())
        assert overlap > 0.93
        assert mask.sum() == pytest.approx(image.sum().item(), rel=0.1)
        assert set(moved["lesion_mask"].unique().tolist()) == {0.0, 1.0}


def test_background_stays_exactly_zero():
    image = ball((24, 24, 24), 6.0, (11.5, 11.5, 11.5)) * 3 - 1.7 * ball((24, 24, 24), 3.0, (11.5, 11.5, 11.5))
    far = ball((24, 24, 24), 8.0, (11.5, 11.5, 11.5)) == 0
    transform = RandFlipRotated(0.5, 1.0, 15.0)
    for number in range(8):
        transform.set_random_state(state=random_state("test", number))
        assert (transform({"image": image})["image"][far] == 0).all()
    full = torch.ones(1, 24, 24, 24)
    transform.set_random_state(state=random_state("test", 1))
    assert (transform({"image": full})["image"] == 0).any()  # from outside the volume


def test_a_scan_without_a_mask_is_moved_alone():
    image = ball((16, 16, 16), 4.0, (6.0, 8.0, 9.0))
    transform = RandFlipRotated(1.0, 1.0, 15.0)
    assert set(transform({"image": image})) == {"image"}


def test_plain_tensors_come_out():
    image = ball((16, 16, 16), 4.0, (6.0, 8.0, 9.0))
    transform = RandFlipRotated(1.0, 1.0, 15.0)
    assert type(transform({"image": image})["image"]) is torch.Tensor
