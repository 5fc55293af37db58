"""Removal of the bias field: the smooth shading of an image by the receive coil."""

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
        field_p99_over_p1: 99th over 1st percentile of the field inside the brain; None if none was estimated.
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
    """No correction, for scans already corrected."""

    def __call__(self, image: Float[np.ndarray, "x y z"], grid: Grid, brain: Bool[np.ndarray, "x y z"]) -> Corrected:
        """Return ``image`` unchanged."""
        return Corrected(image.astype(np.float32, copy=False), None)
