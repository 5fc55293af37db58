"""Random patches of prepared scans."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from monai.transforms import Randomizable
from torch import Tensor

from joint_seg_cls.errors import ConfigError


@final
@dataclass(frozen=True)
class PatchChoice:
    """The random numbers that select a patch: whether on a lesion, which voxel, and the shift from it."""

    on_lesion: bool
    voxel: float
    shift: tuple[float, float, float]


@final
class RandPatchd(Randomizable):
    """Crop a random patch out of all entries, often around a lesion.

    The patch contains a random voxel of a lesion, or a random voxel of the brain (where ``image`` is not 0), at a
    random position inside. To replay a crop, :meth:`draw` it, then :meth:`apply` it.

    Args:
        size: voxels of the patch; a side longer than the image is that of the image. None for the whole image.
        on_lesion: fraction of patches with a lesion voxel, of scans that have lesions.
    """

    def __init__(self, size: Sequence[int] | None, on_lesion: float | int = 0.5) -> None:
        if size is not None and (len(size) != 3 or any(side < 16 or side % 16 for side in size)):
            raise ConfigError(
                "data.augmentation",
                expected="patches with three sides divisible by 16",
                found=str(list(size)),
                remedy="write window=[80,80,80]",
            )
        self.size = None if size is None else tuple(size)
        self.on_lesion = on_lesion

    def draw(self, rng: np.random.RandomState) -> PatchChoice:
        """Draw a patch; the number of random draws is always the same."""
        on_lesion, voxel, x, y, z = rng.random_sample(5).tolist()
        return PatchChoice(on_lesion < self.on_lesion, voxel, (x, y, z))

    def apply(self, data: Mapping[Hashable, Tensor], drawn: PatchChoice) -> dict[Hashable, Tensor]:
        """Return the patch of every entry (channels, x, y, z)."""
        if self.size is None:
            return dict(data)
        shape = data["image"].shape[1:]
        on_lesion = drawn.on_lesion and "lesion_mask" in data
        voxels = np.flatnonzero(np.asarray(data["lesion_mask"][0] > 0)) if on_lesion else np.empty(0, dtype=int)
        if not voxels.size:
            voxels = np.flatnonzero(np.asarray(data["image"].any(dim=0)))
        sides = [min(side, length) for side, length in zip(self.size, shape, strict=True)]
        centre = [length // 2 for length in shape]
        if voxels.size:
            centre = [int(at) for at in np.unravel_index(voxels[int(drawn.voxel * voxels.size)], shape)]
        starts = [
            min(max(at - int(shift * side), 0), length - side)
            for at, shift, side, length in zip(centre, drawn.shift, sides, shape, strict=True)
        ]
        part = (..., *(slice(start, start + side) for start, side in zip(starts, sides, strict=True)))
        return {name: entry[part] for name, entry in data.items()}

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        """Draw from the transform's random state and apply the result."""
        return self.apply(data, self.draw(self.R))
