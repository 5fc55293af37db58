"""Augmentation: equal to MONAI's transforms, the same for image and mask, zeros outside."""

import numpy as np
import pytest
import torch
from monai.transforms import Flip, Rotate
from monai.transforms.utils import create_rotate
from torch.nn.functional import grid_sample

from joint_seg_cls.data import FlipRotation, RandFlipRotated
from joint_seg_cls.data.draws import random_state


def ball(shape: tuple[int, int, int], radius: float, centre: tuple[float, float, float]) -> torch.Tensor:
    offsets = np.moveaxis(np.indices(shape), 0, -1) - np.array(centre)
    return torch.from_numpy((np.linalg.norm(offsets, axis=-1) < radius).astype(np.float32))[None]


def draws(transform: RandFlipRotated, count: int) -> list[FlipRotation]:
    return [transform.draw(random_state("test", number)) for number in range(count)]


def test_flips_and_rotations_have_the_given_probability_and_range():
    drawn = draws(RandFlipRotated(0.5, 0.25, 15.0), 2000)
    axes = [one.flip_axis for one in drawn if one.flip_axis is not None]
    angles = np.rad2deg([one.angles_rad for one in drawn if one.angles_rad is not None])
    assert len(axes) == pytest.approx(1000, abs=90)  # four standard deviations
    assert len(angles) == pytest.approx(500, abs=80)
    assert np.bincount(axes, minlength=3) == pytest.approx(len(axes) / 3, abs=65)
    assert sum(None not in (one.flip_axis, one.angles_rad) for one in drawn) == pytest.approx(250, abs=60)
    assert (np.abs(angles) <= 15).all()
    assert (angles.min(axis=0) < -14).all()
    assert (angles.max(axis=0) > 14).all()
    assert np.abs(np.corrcoef(angles.T)[np.triu_indices(3, 1)]).max() < 0.2


@pytest.mark.parametrize("shape", [(16, 16, 16), (20, 17, 14)])
def test_the_result_equals_monais_flip_and_rotation(shape):
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32))
    mask = ball(shape, 4.3, (8.2, 7.1, 6.4))
    transform = RandFlipRotated(0.7, 1.0, 15.0)
    for drawn in draws(transform, 6):
        moved = transform.apply({"image": image, "lesion_mask": mask}, drawn)
        assert drawn.angles_rad is not None
        flip = Flip(drawn.flip_axis) if drawn.flip_axis is not None else torch.as_tensor
        expected = Rotate(drawn.angles_rad, padding_mode="zeros")(flip(image))
        torch.testing.assert_close(moved["image"], torch.as_tensor(expected.as_tensor()), atol=2e-4, rtol=0)
        nearest = Rotate(drawn.angles_rad, padding_mode="zeros", mode="nearest")(flip(mask)).as_tensor()
        assert (moved["lesion_mask"] != nearest).float().mean() < 1e-3  # ties of the rounding


@pytest.mark.parametrize("shape", [(24, 24, 24), (20, 27, 14)])
def test_sampling_fewer_voxels_changes_no_value(shape):
    """Compare with the sampling of every voxel by one grid."""
    random = np.random.default_rng(0)
    centre = (np.array(shape) - 1) / 2
    image = ball(shape, 6.0, centre + 2) * torch.from_numpy(random.normal(size=(2, *shape)).astype(np.float32))
    masks = {
        "few": torch.from_numpy((random.random((1, *shape)) < 5e-3).astype(np.float32)),
        "many": torch.from_numpy((random.random((1, *shape)) < 0.1).astype(np.float32)),
        "none": torch.zeros((1, *shape)),
    }
    transform = RandFlipRotated(0.5, 1.0, 15.0, nearest_keys=tuple(masks))
    for drawn in draws(transform, 12):
        for is_inverse in (False, True):
            move = transform.invert if is_inverse else transform.apply
            moved = move({"image": image, **masks}, drawn)
            grid = grid_of_all(shape, drawn, is_inverse=is_inverse)
            for name, volume in {"image": image, **masks}.items():
                mode = "bilinear" if name == "image" else "nearest"
                expected = grid_sample(volume[None], grid[None], mode=mode, align_corners=False)[0]
                differ = (moved[name] - expected).abs() > 1e-4
                assert differ.float().mean() < (1e-9 if name == "image" else 1e-3), name  # ties of the rounding


def grid_of_all(shape, drawn, *, is_inverse):
    matrix = np.array(create_rotate(3, drawn.angles_rad), dtype=np.float64)[:3, :3]
    if drawn.flip_axis is not None:
        matrix[drawn.flip_axis] *= -1
    matrix = ((matrix.T if is_inverse else matrix) * (2.0 / np.array(shape))[:, None])[::-1]
    x, y, z = (
        torch.from_numpy(np.outer(np.arange(n) - (n - 1) / 2, matrix[:, axis]).astype(np.float32))
        for axis, n in enumerate(shape)
    )
    return x[:, None, None] + (y[:, None] + z)


def test_a_sparse_mask_is_sampled_around_its_voxels_only(monkeypatch):
    sampled = []
    places_of = torch.Tensor.__setitem__

    def counted(target, where, values):
        sampled.append(values[0].numel())
        places_of(target, where, values)

    mask, image = torch.zeros(1, 24, 24, 24), torch.zeros(1, 24, 24, 24)
    mask[0, 10, 11, 12] = 1
    image[0, 8:16, 8:16, 8:16] = 1
    transform = RandFlipRotated(0.0, 1.0, 15.0)
    transform.set_random_state(state=random_state("test", 1))
    monkeypatch.setattr(torch.Tensor, "__setitem__", counted)
    transform({"image": image, "lesion_mask": mask})
    assert sampled.pop() == 27
    assert sum(sampled) < 24**3 / 2


def test_a_flip_alone_moves_voxels_without_changing_them():
    image = torch.arange(60.0).reshape(1, 3, 4, 5)
    transform = RandFlipRotated(1.0, 0.0, 15.0)
    seen = set()
    for drawn in draws(transform, 20):
        moved = transform.apply({"image": image, "lesion_mask": image > 30}, drawn)
        axis = drawn.flip_axis
        assert axis is not None
        assert torch.equal(transform.invert(moved, drawn)["image"], image)
        seen.add(axis)
        assert torch.equal(moved["image"], torch.from_numpy(np.flip(image.numpy(), 1 + axis).copy()))
        assert torch.equal(moved["lesion_mask"], moved["image"] > 30)
    assert seen == {0, 1, 2}


def test_mask_and_image_move_together():
    image = ball((24, 24, 24), 5.0, (15.0, 9.0, 12.0))
    transform = RandFlipRotated(0.5, 1.0, 15.0)
    for drawn in draws(transform, 8):
        moved = transform.apply({"image": image, "lesion_mask": image}, drawn)
        mask, seen = moved["lesion_mask"] > 0, moved["image"] > 0.5
        overlap = 2 * (mask & seen).sum() / (mask.sum() + seen.sum())
        assert overlap > 0.93
        assert mask.sum() == pytest.approx(image.sum().item(), rel=0.1)
        assert set(moved["lesion_mask"].unique().tolist()) == {0.0, 1.0}


def test_a_call_uses_the_random_state_and_can_be_replayed():
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 12, 11, 10)).astype(np.float32))
    transform = RandFlipRotated(0.5, 0.5, 15.0)
    for number in range(8):
        transform.set_random_state(state=random_state("test", number))
        replayed = transform.apply({"image": image}, transform.draw(random_state("test", number)))
        assert torch.equal(transform({"image": image})["image"], replayed["image"])


def test_an_inverted_rotation_restores_each_voxel():
    places = torch.from_numpy(np.indices((25, 23, 21)).astype(np.float32))  # linear, so interpolation is exact
    inside = ball((25, 23, 21), 7.0, (12.0, 11.0, 10.0))[0] > 0
    transform = RandFlipRotated(0.5, 1.0, 15.0)
    for drawn in draws(transform, 6):
        there = transform.apply({"image": places}, drawn)
        back = transform.invert(there, drawn)["image"]
        torch.testing.assert_close(back[:, inside], places[:, inside], atol=1e-3, rtol=0)
        assert not torch.allclose(there["image"][:, inside], places[:, inside], atol=0.1)


def test_background_remains_exactly_zero():
    image = ball((24, 24, 24), 6.0, (11.5, 11.5, 11.5)) * 3 - 1.7 * ball((24, 24, 24), 3.0, (11.5, 11.5, 11.5))
    far = ball((24, 24, 24), 8.0, (11.5, 11.5, 11.5)) == 0
    transform = RandFlipRotated(0.5, 1.0, 15.0)
    for number in range(8):
        transform.set_random_state(state=random_state("test", number))
        assert (transform({"image": image})["image"][far] == 0).all()
    full = torch.ones(1, 24, 24, 24)
    transform.set_random_state(state=random_state("test", 1))
    assert (transform({"image": full})["image"] == 0).any()  # from outside the volume


def test_a_scan_without_a_mask_is_augmented():
    image = ball((16, 16, 16), 4.0, (6.0, 8.0, 9.0))
    transform = RandFlipRotated(1.0, 1.0, 15.0)
    assert set(transform({"image": image})) == {"image"}


def test_the_result_has_plain_tensors():
    image = ball((16, 16, 16), 4.0, (6.0, 8.0, 9.0))
    transform = RandFlipRotated(1.0, 1.0, 15.0)
    assert type(transform({"image": image})["image"]) is torch.Tensor
