"""The network's grid: the bounding box of the brain resized to a cube, or isotropic voxels padded with zeros."""

from collections.abc import Sequence
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from joint_seg_cls.errors import ConfigError, ScanError
from joint_seg_cls.scan import Geometry, Grid, reorient
from joint_seg_cls.scan.grid import bounding_box

#: Sides must be divisible by this, because the network halves its grid four times.
SIZE_STEP = 16
#: Edge of a cube that contains every adult brain.
LARGEST_BRAIN_MM = 192.0


@runtime_checkable
class Layout(Protocol):
    """Places the network's grid in a scan; its axes are the scan's axes in the order and direction nearest to RAS+."""

    @property
    def model_shape(self) -> tuple[int, int, int]:
        """Voxels of the network's grid along each axis."""
        ...

    def __call__(self, native: Grid, brain: Bool[np.ndarray, "x y z"]) -> Geometry:
        """Return the network's grid and the scan's grid."""
        ...


@final
class CropResize:
    """Crop the scan to the bounding box of the brain and resize it to the model grid, axes RAS+ ([1], section 3.1).

    The resize changes the aspect ratio, as in the paper; the geometry inverts it exactly.

    Args:
        image_size: voxels along each side (one number, or three).

    Raises:
        ConfigError: a side is not divisible by 16.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, image_size: int | Sequence[int] = 160) -> None:
        self._model_shape = _sides(image_size)

    @property
    def model_shape(self) -> tuple[int, int, int]:
        """Voxels of the network's grid along each axis."""
        return self._model_shape

    def __call__(self, native: Grid, brain: Bool[np.ndarray, "x y z"]) -> Geometry:
        """Return the model grid and the scan's grid."""
        canonical = native.canonical()
        (x0, y0, z0), (x1, y1, z1) = _box(native, brain).tolist()
        return Geometry(native, canonical.cropped((x0, y0, z0), (x1, y1, z1)).resized(self.model_shape))


@final
class IsotropicPad:
    """Centre a grid of isotropic voxels on the bounding box of the brain, axes RAS+, padded with zeros.

    Departs from [1], whose resize changes the aspect ratio: proportions are kept, at the price of a
    coarser grid along the shorter sides of the brain.

    Args:
        image_size: voxels along each side (one number, or three).
        spacing_mm: voxel size; None for 192 mm along the longest side, which fits every adult brain.

    Raises:
        ConfigError: a side is not divisible by 16, or the spacing is not positive.
        ScanError: the brain does not fit in the grid.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, image_size: int | Sequence[int] = 160, spacing_mm: int | float | None = None) -> None:
        self._model_shape = _sides(image_size)
        self.spacing_mm = LARGEST_BRAIN_MM / max(self._model_shape) if spacing_mm is None else float(spacing_mm)
        if not self.spacing_mm > 0:
            raise ConfigError(
                "preprocess.layout.spacing_mm",
                expected="millimetres above 0",
                found=f"{self.spacing_mm:g}",
                remedy="use 1.0, or null for 192 mm along the longest side",
            )

    @property
    def model_shape(self) -> tuple[int, int, int]:
        """Voxels of the network's grid along each axis."""
        return self._model_shape

    def __call__(self, native: Grid, brain: Bool[np.ndarray, "x y z"]) -> Geometry:
        """Return the model grid and the scan's grid."""
        canonical = native.canonical()
        start, stop = _box(native, brain)
        sides = np.array(self.model_shape)
        size_mm = (stop - start) * np.array(canonical.spacing_mm)
        if (size_mm > sides * self.spacing_mm + 1e-3).any():
            raise ScanError(
                "preprocess.layout",
                expected=f"a brain within {' x '.join(f'{mm:.0f}' for mm in sides * self.spacing_mm)} mm",
                found=f"one of {' x '.join(f'{mm:.0f}' for mm in size_mm)} mm",
                remedy="correct a brain mask that is larger than the brain, or in jsc prepare use "
                f"preprocess.layout.spacing_mm={np.ceil(100 * (size_mm / sides).max()) / 100:g} or a larger "
                "image_size=",
            )
        scale = self.spacing_mm / np.array(canonical.spacing_mm)
        change = np.diag([*scale, 1.0])
        change[:3, 3] = (start + stop - 1) / 2 - scale * (sides - 1) / 2
        return Geometry(native, Grid(self.model_shape, canonical.affine @ change))


def _sides(image_size: int | Sequence[int]) -> tuple[int, int, int]:
    sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size,) * 3
    if len(sides) != 3 or not all(isinstance(side, int) for side in sides):
        found = " x ".join(map(str, image_size if isinstance(image_size, list | tuple) else [image_size]))
        remedy = "use one number such as 160, or three such as [160,192,160]"
        raise ConfigError("preprocess.image_size", expected="one or three integers", found=found, remedy=remedy)
    if any(side < SIZE_STEP or side % SIZE_STEP for side in sides):
        nearest = [max(SIZE_STEP, SIZE_STEP * round(side / SIZE_STEP)) for side in sides]
        raise ConfigError(
            "preprocess.image_size",
            expected=f"sides divisible by {SIZE_STEP}",
            found=" x ".join(map(str, sides)),
            remedy=f"use {' x '.join(map(str, nearest))}",
        )
    x, y, z = sides
    return x, y, z


def _box(native: Grid, brain: Bool[np.ndarray, "x y z"]) -> Int[np.ndarray, "2 3"]:
    """Return the first voxel of the brain along each canonical axis, and the one after the last."""
    box = bounding_box(reorient(brain, native, native.canonical()))
    return np.array([(part.start, part.stop) for part in box]).T
