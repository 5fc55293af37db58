"""Images without end from stored scenes: an augmentation that draws the appearance of a patch at each visit."""

from collections.abc import Hashable, Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.phantom.appearance import draw_appearance, ventricular_extent
from joint_seg_cls.phantom.scene import Scene
from joint_seg_cls.phantom.tissue import Tissue, is_brain

#: Around a patch this much is drawn too and cut off, so that blur and distances do not see its edge.
_MARGIN_MM = 12.0
#: What a patch is centred on, nearly: a lesion, a voxel of a lesion, a ventricle, white matter, anywhere in the brain.
_CENTRES = {"lesion": 0.25, "lesion voxel": 0.25, "ventricle": 0.15, "white": 0.2, "brain": 0.15}
_JITTER_MM = 24.0
#: Error of the brightness of white matter in use (sd of its logarithm), and what is brighter than this is cut.
_LEVEL_SD, BRIGHTEST = 0.06, 3.0


@final
class RandomAppearance:
    """A dictionary transform, as MONAI's are: ``image`` and ``lesion_mask`` are drawn from the case's labels.

    It needs the entries ``tissue`` and ``lesions`` of simulated cases. The image is brightness over that of white
    matter, as :class:`~joint_seg_cls.preprocess.TissueMode` estimates it in use, and 0 outside the brain.

    Args:
        spacing_mm: edge of the labels' voxels.
        patch: sides of the part that is drawn, in voxels; None for the whole.
        mirrored: share of visits with left and right exchanged.
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
        """Set where the next draws come from."""
        self._random = np.random.RandomState(seed) if state is None else state
        return self

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        """Return the image and the mask of one visit."""
        if "tissue" not in data:
            raise ConfigError(
                "data/augmentation=randomised",
                expected="a store of simulated cases with their labels",
                found="one of prepared scans",
                remedy="make it with jsc phantom phantom=randomised store=STORE",
            )
        rng = np.random.default_rng(self._random.randint(0, 2**32, size=4, dtype=np.uint32))
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
        """Return which part of the scene is drawn."""
        shape = scene.tissue.shape
        patch = shape if self.patch is None else tuple(min(a, b) for a, b in zip(self.patch, shape, strict=True))
        centre = _centre(scene, rng) + rng.uniform(-_JITTER_MM, _JITTER_MM, 3) / scene.spacing_mm
        starts = np.clip(np.round(centre - np.array(patch) / 2).astype(int), 0, np.array(shape) - patch)
        x, y, z = (slice(int(start), int(start) + side) for start, side in zip(starts, patch, strict=True))
        return x, y, z


def _centre(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return a voxel of what a patch is to be about."""
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
    """Return a part with a margin where there is room, and the part within it."""
    x, y, z = (
        slice(max(one.start - margin, 0), min(one.stop + margin, side)) for one, side in zip(part, shape, strict=True)
    )
    a, b, c = (slice(one.start - wide.start, one.stop - wide.start) for one, wide in zip(part, (x, y, z), strict=True))
    return (x, y, z), (a, b, c)
