"""The paper's augmentation: one flip and one rotation of image and mask together (Huang et al. 2024 [1], 3.1.3)."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num, Shaped
from monai.transforms import MapTransform, Randomizable
from monai.transforms.utils import create_rotate
from torch import Tensor
from torch.nn.functional import pad

#: A voxel and its neighbours, among which are all voxels whose nearest source is the voxel that it is the image of.
_AROUND = np.array(list(product((-1, 0, 1), repeat=3)))
#: Fraction of voxels above which sampling around the voxels of a mask saves nothing.
_SPARSE = 0.25
#: Planes that are sampled at once, so that their intermediate results stay in the processor's cache.
_PLANES = 16
#: Side of the blocks of voxels by which it is found where a volume is empty.
_BLOCK = 8


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
    r"""The source of each voxel of a flipped, then rotated volume.

    .. math:: s = c + F R (o - c)

    o: index of the voxel; c: centre; R: MONAI's rotation matrix of the three angles; F: flip; s: index of the source.
    For the inverse :math:`F R` is transposed.

    Sampling is most of the loader's time. Only voxels that can differ from 0 are sampled: their values do not depend on
    which others are sampled. They are sampled plane by plane with operations on whole planes, which takes half the time
    of torch's ``grid_sample``, which computes volumes voxel by voxel.
    """

    def __init__(self, shape: tuple[int, int, int], drawn: FlipRotation, *, is_inverse: bool) -> None:
        matrix = np.array(create_rotate(3, drawn.angles_rad or (0.0, 0.0, 0.0)), dtype=np.float64)[:3, :3]
        if drawn.flip_axis is not None:
            matrix[drawn.flip_axis] *= -1
        self._matrix = matrix.T if is_inverse else matrix
        self._shape = np.array(shape)
        self._centre = (self._shape - 1) / 2
        # s is the sum of one term for each index of o; in a volume with one more voxel before the first of each axis
        terms = [np.outer(self._matrix[:, axis], np.arange(n) - (n - 1) / 2) for axis, n in enumerate(shape)]
        terms[0] += self._centre[:, None] + 1
        self._x, self._y, self._z = (torch.from_numpy(each.astype(np.float32)) for each in terms)

    def linear(self, volume: Float[Tensor, "c x y z"]) -> Float[Tensor, "c x y z"]:
        """Interpolate linearly."""
        moved = torch.zeros_like(volume)
        padded = pad(volume, (1, 2) * 3)  # every source then has its eight voxels
        steps = padded.stride()[1:]
        for x, y, z in self._boxes(volume.any(0).bool().numpy()):
            first, shares = self._first_of_eight((x, y, z), steps)
            for channel, target in zip(padded, moved[:, x, y, z], strict=True):
                target[:] = _interpolated(channel.view(-1), first, shares, steps).view(target.shape)
        return moved

    def nearest(self, volume: Shaped[Tensor, "c x y z"]) -> Shaped[Tensor, "c x y z"]:
        """Take the nearest voxel; of a sparse mask, sample only around the images of its voxels."""
        moved = torch.zeros_like(volume)
        padded = pad(volume, (1, 1) * 3)
        filled = volume.any(0).bool().numpy()  # of uint8, `any` is uint8
        where = np.flatnonzero(filled)  # ten times as fast as `argwhere`
        if len(_AROUND) * len(where) <= _SPARSE * filled.size:
            images = np.round(self._images_of(np.stack(np.unravel_index(where, filled.shape), axis=1)))
            places = (images[:, None] + _AROUND).reshape(-1, 3).astype(np.int64)
            inside = ((places >= 0) & (places < self._shape)).all(axis=1)
            parts = [torch.from_numpy(places[inside]).unbind(1)]
        else:
            boxes = ([torch.arange(each.start, each.stop) for each in box] for box in self._boxes(filled))
            parts = [(x[:, None, None], y[:, None], z) for x, y, z in boxes]
        for x, y, z in parts:
            sources = [self._x[axis, x] + (self._y[axis, y] + self._z[axis, z]) for axis in range(3)]
            a, b, c = (each.round_().clamp_(0, n + 1).long() for each, n in zip(sources, filled.shape, strict=True))
            moved[:, x, y, z] = padded[:, a, b, c]
        return moved

    def _first_of_eight(
        self, box: tuple[slice, slice, slice], steps: tuple[int, ...]
    ) -> tuple[Int[Tensor, " n"], list[Float[Tensor, " n"]]]:
        """Return the first of the eight padded voxels around each source, and the source's distances from it."""
        x, y, z = box
        first, shares = torch.zeros((), dtype=torch.int32), []
        for axis, step in enumerate(steps):
            source = self._x[axis, x, None, None] + (self._y[axis, y, None] + self._z[axis, z])
            source.clamp_(0, int(self._shape[axis]) + 1)
            low = source.floor()
            shares.append(source.sub_(low).view(-1))
            first = low.int().mul_(step).add_(first)
        return first.view(-1), shares

    def _boxes(self, filled: Bool[np.ndarray, "x y z"]) -> Iterator[tuple[slice, slice, slice]]:
        """Yield boxes with all voxels whose sources can touch values other than 0, a few planes each."""
        for axis, n in enumerate(filled.shape):
            filled = np.logical_or.reduceat(filled, np.arange(0, n, _BLOCK), axis=axis)
        reach = (_BLOCK + 1) / 2  # from the centre of a block to the first source that its voxels do not touch
        images = self._images_of(np.argwhere(filled) * _BLOCK + (_BLOCK - 1) / 2)
        reaches = reach * np.abs(self._matrix).sum(axis=0)
        first = np.clip(np.floor(images - reaches).astype(int), 0, self._shape)
        stop = np.clip(np.ceil(images + reaches).astype(int) + 1, 0, self._shape)
        for begin in range(0, int(self._shape[0]), _PLANES):
            end = min(begin + _PLANES, int(self._shape[0]))
            here = (first[:, 0] < end) & (stop[:, 0] > begin)
            if here.any():
                (_, *starts), (_, *stops) = first[here].min(axis=0).tolist(), stop[here].max(axis=0).tolist()
                y, z = map(slice, starts, stops)
                yield slice(begin, end), y, z

    def _images_of(self, places: Num[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Return where voxels are moved to."""
        return self._centre + (places - self._centre) @ self._matrix


def _interpolated(
    volume: Float[Tensor, " m"], first: Int[Tensor, " n"], shares: list[Float[Tensor, " n"]], steps: tuple[int, ...]
) -> Float[Tensor, " n"]:
    """Interpolate linearly in a flattened volume with these steps along its axes."""
    corners = [volume[sum(corner) :].index_select(0, first) for corner in product(*((0, step) for step in steps))]
    for share in reversed(shares):  # the last axis first, whose neighbours are next to each other
        corners = [low.lerp_(high, share) for low, high in zip(corners[::2], corners[1::2], strict=True)]
    return corners[0]
