"""Which grid the network sees: crop the background, resize to the cube (Huang et al. 2024 [1], section 3.1).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from typing import final

import numpy as np
from jaxtyping import Bool

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan import Geometry, Grid, reorient

#: Sides must be divisible by this: the network halves its grid four times.
SIZE_STEP = 16


@final
class CropResize:
    """Cut the scan to the box around the brain and resize that box to the model grid, axes RAS+.

    The resize changes the aspect ratio, as in the paper; the geometry undoes it exactly.

    Args:
        image_size: voxels along each side (one number, or three).

    Raises:
        ConfigError: a side is not divisible by 16.
    """

    def __init__(self, image_size: int | tuple[int, int, int] = 160) -> None:
        sides = (image_size,) * 3 if isinstance(image_size, int) else tuple(image_size)
        if len(sides) != 3 or any(side < SIZE_STEP or side % SIZE_STEP for side in sides):
            nearest = [max(SIZE_STEP, SIZE_STEP * round(side / SIZE_STEP)) for side in sides]
            raise ConfigError(
                "preprocess.image_size",
                expected=f"one or three sides divisible by {SIZE_STEP}",
                found=" x ".join(map(str, sides)),
                remedy=f"use {' x '.join(map(str, nearest))}",
            )
        x, y, z = sides
        self.model_shape: tuple[int, int, int] = (x, y, z)

    def __call__(self, native: Grid, brain: Bool[np.ndarray, "x y z"]) -> Geometry:
        """Return where the model grid lies in the scan's grid."""
        canonical = native.canonical()
        inside = np.argwhere(reorient(brain, native, canonical))
        x0, y0, z0 = (int(v) for v in inside.min(axis=0))
        x1, y1, z1 = (int(v) + 1 for v in inside.max(axis=0))
        return Geometry(native, canonical.cropped((x0, y0, z0), (x1, y1, z1)).resized(self.model_shape))
