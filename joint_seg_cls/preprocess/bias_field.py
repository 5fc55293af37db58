"""The slow shading of an image by the receive coil, estimated and divided out."""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32

from joint_seg_cls.scan import Grid


@final
@dataclass(frozen=True, eq=False)
class Corrected:
    """An image without its bias field.

    Attributes:
        image: the image, on its own grid.
        field_p99_over_p1: 99th over 1st percentile of the field inside the brain; None where none was estimated.
    """

    image: Float32[np.ndarray, "x y z"]
    field_p99_over_p1: float | None


@runtime_checkable
class BiasField(Protocol):
    """Removes the bias field of an image."""

    def __call__(self, image: Float[np.ndarray, "x y z"], grid: Grid, brain: Bool[np.ndarray, "x y z"]) -> Corrected:
        """Return ``image`` without its bias field, which is estimated inside ``brain``."""
        ...


@final
class NoBiasField:
    """Leave the image as it is: for scans that were corrected before."""

    def __call__(self, image: Float[np.ndarray, "x y z"], grid: Grid, brain: Bool[np.ndarray, "x y z"]) -> Corrected:
        """Return ``image``."""
        return Corrected(image.astype(np.float32, copy=False), None)
