"""Shapes of single lesions: from a library of real lesions, or random ellipsoids."""

import hashlib
import zipfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from joint_seg_cls.errors import ConfigError, reason_of
from joint_seg_cls.phantom.smooth_noise import smooth_noise

_ARRAYS = ("affine", "origin", "shape", "offset", "bits")
_SCALE = (0.7, 1.4)
_LN_MM3 = (3.4, 1.4)
_REMEDY = "set shapes= to a file of lesion shapes, or omit it"


@final
@dataclass(frozen=True, eq=False)
class Shape:
    """The shape of a lesion.

    Attributes:
        mask: in RAS+ voxels of 1 mm.
        place_mm: its original position on the template (MNI mm); None if it has none.
    """

    mask: Bool[np.ndarray, "x y z"]
    place_mm: Float[np.ndarray, "3"] | None


class LesionShapes(ABC):
    """Draws shapes."""

    @abstractmethod
    def draw(self, largest_mm3: float, rng: np.random.Generator) -> Shape:
        """Return a shape, of at most about ``largest_mm3``."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the parameters of the shapes, as plain values."""


@final
class RoughEllipsoids(LesionShapes):
    """Ellipsoids with uneven borders, with lengths and volumes of real lesions."""

    def draw(self, largest_mm3: float, rng: np.random.Generator) -> Shape:
        """Return an ellipsoid of log-normal volume."""
        volume = min(float(np.exp(rng.normal(*_LN_MM3))), max(largest_mm3, 6.0))
        return Shape(rough_ellipsoid(volume, (1.0, 1.0, 1.0), rng), None)

    def describe(self) -> dict[str, Any]:
        """Return their name."""
        return {"shapes": "ellipsoids"}


@final
class ShapeLibrary(LesionShapes):
    """Lesion shapes from an ``.npz`` file, flipped, scaled by 0.7 to 1.4, and placed at their original positions.

    The file has ``affine`` (4, 4) to MNI mm, and for shape k the voxel ``origin[k]``, ``shape[k]``, and its voxels as
    ``np.unpackbits(bits[offset[k]:offset[k+1]])``, truncated to the product of ``shape[k]``; voxels of 1 mm.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.path) as file:
                arrays = {name: file[name] for name in _ARRAYS}
        except FileNotFoundError as error:
            raise ConfigError("shapes", expected="a file", found=f"no file {self.path}", remedy=_REMEDY) from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(
                "shapes",
                expected=f"an .npz file with {', '.join(_ARRAYS)}",
                found=f"{self.path} ({reason_of(error, 120)})",
                remedy=_REMEDY,
            ) from error
        counts = (len(arrays["origin"]), len(arrays["shape"]), len(arrays["offset"]) - 1)
        if len(set(counts)) > 1 or not counts[0] or arrays["bits"].dtype != np.uint8:
            found = f"{self.path} with {' / '.join(map(str, counts))} origins, shapes and offsets"
            raise ConfigError("shapes", expected="equal numbers of origins and shapes", found=found, remedy=_REMEDY)
        return arrays

    @cached_property
    def _volumes_mm3(self) -> Float[np.ndarray, " n"]:
        return np.array([np.count_nonzero(self._mask(k)) for k in range(len(self._arrays["origin"]))], dtype=float)

    def _mask(self, number: int) -> Bool[np.ndarray, "x y z"]:
        arrays = self._arrays
        x, y, z = (int(side) for side in arrays["shape"][number])
        bits = arrays["bits"][arrays["offset"][number] : arrays["offset"][number + 1]]
        return np.unpackbits(bits, count=x * y * z).reshape(x, y, z).astype(bool)

    def draw(self, largest_mm3: float, rng: np.random.Generator) -> Shape:
        """Return a sufficiently small shape of the library, or the smallest."""
        volumes = self._volumes_mm3
        fitting = np.flatnonzero(volumes <= largest_mm3)
        number = int(fitting[rng.integers(fitting.size)]) if fitting.size else int(volumes.argmin())
        affine, corner = self._arrays["affine"], self._arrays["origin"][number]
        place = affine[:3, :3] @ (corner + (self._arrays["shape"][number] - 1) / 2) + affine[:3, 3]
        mask = self._mask(number)
        for axis, flipped in enumerate(rng.random(3) < 0.5):
            mask = np.flip(mask, axis) if flipped else mask
        place = place * ((-1) ** int(rng.integers(2)), 1, 1)
        factor = float(rng.uniform(*_SCALE))
        if min(mask.shape) > 1:
            scaled = ndimage.zoom(np.pad(mask, 1).astype(np.float32), factor, order=1) > 0.5
            mask = scaled if scaled.any() else mask
        return Shape(mask, place)

    def describe(self) -> dict[str, Any]:
        """Return a fingerprint of the file."""
        try:
            digest = hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]
        except OSError as error:
            raise ConfigError("shapes", expected="a file", found=f"no file {self.path}", remedy=_REMEDY) from error
        return {"shapes": digest}


def lesion_shapes(path: str | Path | None) -> LesionShapes:
    """Return the shapes of a file, or random ellipsoids if there is no file."""
    return RoughEllipsoids() if path is None else ShapeLibrary(path)


def rough_ellipsoid(
    volume_mm3: float, spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> Bool[np.ndarray, "x y z"]:
    """Return an ellipsoid of about this volume with an uneven border, of random elongation and direction.

    Args:
        rng: of elongation, direction and border.
    """
    ratio = np.array([1.0, 1 / rng.uniform(1.1, 2.4), 1 / rng.uniform(1.1, 2.4)])
    radii = ratio * (3 * volume_mm3 / (4 * np.pi * ratio.prod())) ** (1 / 3)
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    reach = [int(np.ceil(1.4 * radii.max() / side)) + 1 for side in spacing_mm]
    positions = [side * np.arange(-far, far + 1) for far, side in zip(reach, spacing_mm, strict=True)]
    where = np.stack(np.meshgrid(*positions, indexing="ij"), axis=-1) @ axes
    rough = 1 + rng.uniform(0, 0.35) * smooth_noise(where.shape[:3], 4 / float(np.mean(spacing_mm)), rng)
    return np.linalg.norm(where / radii, axis=-1) <= np.maximum(rough, 0.4)
