"""Random patches of prepared scans."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Int
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
        #: For each folder and entry, the number of voxels that are not 0 up to and with each plane.
        self._filled_until: dict[tuple[str | None, str], Int[np.ndarray, " x"]] = {}

    def draw(self, rng: np.random.RandomState) -> PatchChoice:
        """Draw a patch; the number of random draws is always the same."""
        on_lesion, voxel, x, y, z = rng.random_sample(5).tolist()
        return PatchChoice(on_lesion < self.on_lesion, voxel, (x, y, z))

    def apply(self, data: Mapping[Hashable, Any], drawn: PatchChoice) -> dict[Hashable, Any]:
        """Return a copy of the patch of every entry (channels, x, y, z); entries that are no tensors stay.

        Of a case with the entry ``folder``, later patches read little more than the patch: the number of filled voxels
        of each plane is kept.
        """
        if self.size is None:
            return dict(data)
        shape = data["image"].shape[1:]
        sides = [min(side, length) for side, length in zip(self.size, shape, strict=True)]
        centre = self._filled(data, "lesion_mask", drawn.voxel) if drawn.on_lesion and "lesion_mask" in data else None
        centre = centre or self._filled(data, "image", drawn.voxel) or [length // 2 for length in shape]
        starts = [
            min(max(at - int(shift * side), 0), length - side)
            for at, shift, side, length in zip(centre, drawn.shift, sides, shape, strict=True)
        ]
        part = (..., *(slice(start, start + side) for start, side in zip(starts, sides, strict=True)))
        return {name: entry[part].clone() if isinstance(entry, Tensor) else entry for name, entry in data.items()}

    def _filled(self, data: Mapping[Hashable, Any], name: str, place: float) -> list[int] | None:
        """Return the voxel at ``place`` in [0, 1) among those where an entry is not 0; None if it is 0 everywhere."""
        key = data.get("folder"), name
        until = self._filled_until.get(key)
        if until is None:
            until = np.cumsum([np.count_nonzero(plane.any(dim=0)) for plane in data[name].unbind(1)])
            if "folder" in data:
                self._filled_until[key] = until
        number = int(place * until[-1])
        if not until[-1]:
            return None
        x = int(np.searchsorted(until, number, side="right"))
        plane = np.asarray(data[name][:, x].any(dim=0))
        nth = number - int(until[x - 1] if x else 0)
        return [x, *(int(at) for at in np.unravel_index(np.flatnonzero(plane)[nth], plane.shape))]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw from the transform's random state and apply the result."""
        return self.apply(data, self.draw(self.R))
