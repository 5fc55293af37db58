"""The paper's augmentation: one flip and one rotation of image and mask together (Huang et al. 2024 [1], 3.1.3)."""

from collections.abc import Hashable, Mapping
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from monai.transforms import MapTransform, Randomizable
from monai.transforms.utils import create_rotate
from torch import Tensor
from torch.nn.functional import grid_sample


@final
class RandFlipRotated(MapTransform, Randomizable):
    """Flip along one axis chosen at random, and rotate about the centre by an angle about each axis.

    A MONAI dictionary transform that does what ``RandAxisFlipd`` and ``RandRotated`` do, in one resampling, with one
    sampling grid for image and mask, and on plain tensors. What comes from outside the volume is 0.

    Departs from [1]: the range of angles is not given there; ``rotation_degrees`` says it. Rotations are in voxel axes.

    Args:
        flip_probability: chance of a flip.
        rotation_probability: chance of a rotation.
        rotation_degrees: each of the three angles is uniform between minus and plus this.
        linear_keys: entries that are interpolated linearly, each (channels, x, y, z).
        nearest_keys: entries that take the nearest voxel's value; absent ones are passed over.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(
        self,
        flip_probability: int | float,
        rotation_probability: int | float,
        rotation_degrees: int | float,
        linear_keys: tuple[str, ...] = ("image",),
        nearest_keys: tuple[str, ...] = ("lesion_mask",),
    ) -> None:
        MapTransform.__init__(self, (*linear_keys, *nearest_keys), allow_missing_keys=True)
        self.flip_probability = flip_probability
        self.rotation_probability = rotation_probability
        self.rotation_degrees = rotation_degrees
        self.nearest_keys = frozenset(nearest_keys)
        self.flip_axis: int | None = None
        self.angles_rad: tuple[float, float, float] | None = None

    def randomize(self, data: object = None) -> None:
        """Draw the next flip and rotation from the random state; the same number of draws whatever comes of them."""
        del data
        flip, rotate = self.R.random_sample(2)
        axis = int(self.R.randint(3))
        x, y, z = np.deg2rad(self.R.uniform(-self.rotation_degrees, self.rotation_degrees, size=3)).tolist()
        self.flip_axis = axis if flip < self.flip_probability else None
        self.angles_rad = (x, y, z) if rotate < self.rotation_probability else None

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        """Return ``data`` with all entries of the keys moved alike."""
        moved = dict(data)
        self.randomize()
        if self.angles_rad is None:
            if self.flip_axis is not None:
                for key in self.key_iterator(moved):
                    moved[key] = moved[key].flip(1 + self.flip_axis)
            return moved
        grid = None
        for key in self.key_iterator(moved):
            volume = moved[key]
            if grid is None:
                _, *shape = volume.shape
                grid = sampling_grid((shape[0], shape[1], shape[2]), self.angles_rad, self.flip_axis)
            moved[key] = _sample(volume, grid, "nearest" if key in self.nearest_keys else "bilinear")
        return moved


def sampling_grid(
    shape: tuple[int, int, int], angles_rad: tuple[float, float, float], flip_axis: int | None
) -> Float[Tensor, "x y z 3"]:
    r"""Return where each voxel of a flipped, then rotated volume comes from, as ``grid_sample`` wants it.

    .. math:: s = F R (o - c)

    o: the voxel's index; c: the centre; R: MONAI's rotation matrix of the three angles; F: the flip; s: the source
    relative to the centre, here divided by half the size of its axis and listed last axis first.
    """
    matrix = np.array(create_rotate(3, angles_rad), dtype=np.float64)[:3, :3]
    if flip_axis is not None:
        matrix[flip_axis] *= -1
    matrix = (matrix * (2.0 / np.array(shape))[:, None])[::-1]
    x, y, z = (
        torch.from_numpy(np.outer(np.arange(n) - (n - 1) / 2, matrix[:, axis]).astype(np.float32))
        for axis, n in enumerate(shape)
    )
    return x[:, None, None] + (y[:, None] + z)


def _sample(volume: Float[Tensor, "c x y z"], grid: Float[Tensor, "x y z 3"], mode: str) -> Float[Tensor, "c x y z"]:
    if not volume.any():
        return volume
    return grid_sample(volume[None], grid[None], mode=mode, padding_mode="zeros", align_corners=False)[0]
