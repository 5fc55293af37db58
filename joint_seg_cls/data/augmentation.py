"""The paper's augmentation: one flip and one rotation of image and mask together (Huang et al. 2024 [1], 3.1.3)."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Num, Shaped
from monai.transforms import MapTransform, Randomizable
from monai.transforms.utils import create_rotate
from torch import Tensor
from torch.nn.functional import grid_sample

#: A voxel and its neighbours, among which are all voxels whose nearest source is the voxel that it is the image of.
_AROUND = np.array(list(product((-1, 0, 1), repeat=3)))
#: Fraction of voxels above which sampling around the voxels of a mask saves nothing.
_SPARSE = 0.25


@final
@dataclass(frozen=True)
class FlipRotation:
    """A flip along one voxel axis followed by a rotation about the centre; None for no flip or no rotation."""

    flip_axis: int | None
    angles_rad: tuple[float, float, float] | None


@final
class RandFlipRotated(MapTransform, Randomizable):
    """Randomly flip along one axis and rotate about the centre.

    Equivalent to MONAI's ``RandAxisFlipd`` and ``RandRotated`` in one resampling, with one sampling grid for image and
    mask, on plain tensors. Values from outside the volume are 0. To replay or undo a transform, :meth:`draw` it, then
    :meth:`apply` or :meth:`invert` it.

    Departs from [1], which does not give the range of angles: ``rotation_degrees`` sets it. Rotations are in voxel
    axes.

    Args:
        rotation_degrees: the three angles are uniform between minus and plus this value.
        linear_keys: entries that are interpolated linearly, each (channels, x, y, z).
        nearest_keys: entries with nearest-neighbour interpolation; missing entries are ignored.

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

    def draw(self, rng: np.random.RandomState) -> FlipRotation:
        """Draw a flip and a rotation; the number of random draws is always the same."""
        flip, rotate = rng.random_sample(2)
        axis = int(rng.randint(3))
        x, y, z = np.deg2rad(rng.uniform(-self.rotation_degrees, self.rotation_degrees, size=3)).tolist()
        return FlipRotation(
            flip_axis=axis if flip < self.flip_probability else None,
            angles_rad=(x, y, z) if rotate < self.rotation_probability else None,
        )

    def apply(self, data: Mapping[Hashable, Tensor], drawn: FlipRotation) -> dict[Hashable, Tensor]:
        """Return ``data`` with the transform applied to all entries of the keys."""
        return self._move(data, drawn, is_inverse=False)

    def invert(self, data: Mapping[Hashable, Tensor], drawn: FlipRotation) -> dict[Hashable, Tensor]:
        """Return ``data`` with the inverse transform applied; after a rotation up to interpolation and cropping."""
        return self._move(data, drawn, is_inverse=True)

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        """Draw from the transform's random state and apply the result."""
        return self.apply(data, self.draw(self.R))

    def _move(
        self, data: Mapping[Hashable, Tensor], drawn: FlipRotation, *, is_inverse: bool
    ) -> dict[Hashable, Tensor]:
        moved = dict(data)
        sources = None
        for key in self.key_iterator(moved):
            volume = moved[key]
            if drawn.angles_rad is not None:
                if sources is None:
                    _, *shape = volume.shape
                    sources = _Sources((shape[0], shape[1], shape[2]), drawn, is_inverse=is_inverse)
                moved[key] = sources.nearest(volume) if key in self.nearest_keys else sources.linear(volume)
            elif drawn.flip_axis is not None:
                moved[key] = volume.flip(1 + drawn.flip_axis)
        return moved


@final
class _Sources:
    r"""The source of each voxel of a flipped, then rotated volume, in the format of ``grid_sample``.

    .. math:: s = F R (o - c)

    o: index of the voxel; c: centre; R: MONAI's rotation matrix of the three angles; F: flip; s: source relative to the
    centre, here divided by half the size of its axis, last axis first. For the inverse :math:`F R` is transposed.

    Only voxels that can differ from 0 are sampled, since sampling is most of the loader's time: their values do not
    depend on which others are sampled.
    """

    def __init__(self, shape: tuple[int, int, int], drawn: FlipRotation, *, is_inverse: bool) -> None:
        matrix = np.array(create_rotate(3, drawn.angles_rad or (0.0, 0.0, 0.0)), dtype=np.float64)[:3, :3]
        if drawn.flip_axis is not None:
            matrix[drawn.flip_axis] *= -1
        self._matrix = matrix.T if is_inverse else matrix
        self._shape = np.array(shape)
        scaled = (self._matrix * (2.0 / self._shape)[:, None])[::-1]
        self._x, self._y, self._z = (
            torch.from_numpy(np.outer(np.arange(n) - (n - 1) / 2, scaled[:, axis]).astype(np.float32))
            for axis, n in enumerate(shape)
        )

    def linear(self, volume: Float[Tensor, "c x y z"]) -> Float[Tensor, "c x y z"]:
        """Interpolate linearly."""
        return self._in_box(volume, "bilinear")

    def nearest(self, volume: Shaped[Tensor, "c x y z"]) -> Shaped[Tensor, "c x y z"]:
        """Take the nearest voxel; of a sparse mask, sample only around the images of its voxels."""
        where = volume.any(0).nonzero().numpy()
        if len(_AROUND) * len(where) > _SPARSE * volume[0].numel():
            return self._in_box(volume, "nearest")
        moved = torch.zeros_like(volume)
        places = (np.round(self._images_of(where))[:, None] + _AROUND).reshape(-1, 3).astype(np.int64)
        inside = ((places >= 0) & (places < self._shape)).all(axis=1)
        x, y, z = torch.from_numpy(places[inside]).T
        grid = self._x[x] + (self._y[y] + self._z[z])
        moved[:, x, y, z] = _sampled(volume, grid[None, None], "nearest")[:, 0, 0]
        return moved

    def _in_box(self, volume: Shaped[Tensor, "c x y z"], mode: str) -> Shaped[Tensor, "c x y z"]:
        """Sample the box of voxels whose sources can touch values other than 0."""
        filled = volume.any(0)
        lines = filled.any(2)
        spans = [each.nonzero().numpy() for each in (lines.any(1), lines.any(0), filled.any(0).any(0))]
        if not spans[0].size:
            return volume
        corners = np.array(list(product(*((span[0, 0] - 1, span[-1, 0] + 1) for span in spans))))
        images = self._images_of(corners)
        first = np.clip(np.floor(images.min(axis=0)).astype(int), 0, self._shape)
        stop = np.clip(np.ceil(images.max(axis=0)).astype(int) + 1, 0, self._shape)
        x, y, z = (slice(begin, end) for begin, end in zip(first.tolist(), stop.tolist(), strict=True))
        moved = torch.zeros_like(volume)
        moved[:, x, y, z] = _sampled(volume, self._x[x, None, None] + (self._y[y, None] + self._z[z]), mode)
        return moved

    def _images_of(self, places: Num[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Return where voxels are moved to."""
        centre = (self._shape - 1) / 2
        return centre + (places - centre) @ self._matrix


def _sampled(volume: Shaped[Tensor, "c x y z"], grid: Float[Tensor, "u v w 3"], mode: str) -> Shaped[Tensor, "c u v w"]:
    return grid_sample(volume[None], grid[None], mode=mode, padding_mode="zeros", align_corners=False)[0]
