"""Augmentation that draws a new appearance of a stored scene, or of a patch of it, in each epoch."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.phantom.appearance import draw_appearance, ventricular_extent
from joint_seg_cls.phantom.scene import Scene
from joint_seg_cls.phantom.tissue import Tissue, is_brain

#: Margin drawn around a patch and cropped, so that its edge does not affect blur and distances.
_MARGIN_MM = 12.0
#: Probabilities of the approximate centre of a patch.
_CENTRES = {"lesion": 0.25, "lesion voxel": 0.25, "ventricle": 0.15, "white": 0.2, "brain": 0.15}
_JITTER_MM = 24.0
#: Simulated error of the white matter intensity (sd of its logarithm), and maximum intensity.
_LEVEL_SD, BRIGHTEST = 0.06, 3.0


@final
@dataclass(frozen=True)
class AppearanceSeed:
    """The seed of everything that is random in one image of a case."""

    words: tuple[int, int, int, int]


@final
class RandomAppearance:
    """A MONAI-style dictionary transform that draws ``image`` and ``lesion_mask`` from the labels of a case.

    It needs the entries ``tissue`` and ``lesions`` of simulated cases. The image is the intensity relative to white
    matter, as estimated by :class:`~joint_seg_cls.preprocess.TissueMode` in preprocessing, and 0 outside the brain. To
    replay a draw, :meth:`draw` its seed, then :meth:`apply` it.

    Args:
        spacing_mm: voxel size of the labels.
        patch: size of the patch in voxels; None for the whole grid.
        mirrored: fraction of draws with left and right exchanged.
    """

    def __init__(self, spacing_mm: float | int, patch: Sequence[int] | None = None, mirrored: float = 0.5) -> None:
        if patch is not None and (len(patch) != 3 or any(side < 16 or side % 16 for side in patch)):
            raise ConfigError(
                "data.augmentation.patch",
                expected="three sides divisible by 16",
                found=str(list(patch)),
                remedy="write data.augmentation.patch=[80,80,80], or null for the whole grid",
            )
        self.spacing_mm = float(spacing_mm)
        self.patch = None if patch is None else tuple(patch)
        self.mirrored = mirrored
        self._random = np.random.RandomState()

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> "RandomAppearance":
        """Set the source of random numbers."""
        self._random = np.random.RandomState(seed) if state is None else state
        return self

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        """Draw from the transform's random state and apply the result."""
        return self.apply(data, self.draw(self._random))

    def draw(self, rng: np.random.RandomState) -> AppearanceSeed:
        """Draw the seed of an image."""
        a, b, c, d = rng.randint(0, 2**32, size=4, dtype=np.uint32).tolist()
        return AppearanceSeed((a, b, c, d))

    def apply(self, data: Mapping[Hashable, Tensor], seed: AppearanceSeed) -> dict[Hashable, Tensor]:
        """Return the image of a seed and its mask."""
        if "tissue" not in data:
            raise ConfigError(
                "data/augmentation=randomised",
                expected="a store of simulated cases with their labels",
                found="a store of prepared scans",
                remedy="make it with jsc phantom phantom=randomised store=STORE",
            )
        rng = np.random.default_rng(np.array(seed.words, dtype=np.uint32))
        scene = Scene(data["tissue"][0].numpy(), data["lesions"][0].numpy(), self.spacing_mm)
        scene = scene.mirrored() if rng.random() < self.mirrored else scene
        extent = ventricular_extent(scene)
        here = self._part(scene, rng)
        wide, inner = _widened(here, scene.tissue.shape, round(_MARGIN_MM / self.spacing_mm))
        start = wide[1].start
        drawn = draw_appearance(scene.cropped(wide), (extent[0] - start, extent[1] - start), rng)
        level = drawn.white * np.exp(_LEVEL_SD * rng.standard_normal())
        image = np.clip(drawn.image[inner] / np.float32(level), 0, BRIGHTEST)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None],
            "lesion_mask": torch.from_numpy(np.ascontiguousarray(drawn.lesions[inner], dtype=np.float32))[None],
        }

    def _part(self, scene: Scene, rng: np.random.Generator) -> tuple[slice, slice, slice]:
        """Return the part of the scene to draw."""
        shape = scene.tissue.shape
        patch = shape if self.patch is None else tuple(min(a, b) for a, b in zip(self.patch, shape, strict=True))
        centre = _centre(scene, rng) + rng.uniform(-_JITTER_MM, _JITTER_MM, 3) / scene.spacing_mm
        starts = np.clip(np.round(centre - np.array(patch) / 2).astype(int), 0, np.array(shape) - patch)
        x, y, z = (slice(int(start), int(start) + side) for start, side in zip(starts, patch, strict=True))
        return x, y, z


def _centre(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return a voxel for the centre of a patch."""
    kind = str(rng.choice(list(_CENTRES), p=list(_CENTRES.values())))
    mask = is_brain(scene.tissue)
    if kind == "lesion" and (numbers := np.unique(scene.lesions[scene.lesions > 0])).size:
        mask = scene.lesions == numbers[rng.integers(numbers.size)]
    elif kind == "lesion voxel" and scene.lesions.any():
        mask = scene.lesions > 0
    elif kind in ("ventricle", "white"):
        tissue = scene.tissue == (Tissue.WHITE if kind == "white" else Tissue.LATERAL_VENTRICLE)
        mask = tissue if tissue.any() else mask
    places = np.flatnonzero(mask)
    if not places.size:
        return np.array(mask.shape) / 2
    return np.array(np.unravel_index(places[rng.integers(places.size)], mask.shape), dtype=float)


def _widened(
    part: tuple[slice, slice, slice], shape: tuple[int, ...], margin: int
) -> tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]]:
    """Return a part with a margin as far as possible, and the position of the part within it."""
    x, y, z = (
        slice(max(one.start - margin, 0), min(one.stop + margin, side)) for one, side in zip(part, shape, strict=True)
    )
    a, b, c = (slice(one.start - wide.start, one.stop - wide.start) for one, wide in zip(part, (x, y, z), strict=True))
    return (x, y, z), (a, b, c)
