"""The shape of a lesion in template millimetres: a level function with its minimum at the core, increasing outwards.

A lesion of volume V consists of the V cubic millimetres with the lowest level. One draw therefore describes the same
lesion on any grid, its volume is exact to a voxel, and neighbouring parts merge as a lesion grows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from joint_seg_cls.phantom.parameters import parameters

#: Spacing of the lattice for the unevenness of lesion borders.
ROUGHNESS_LATTICE_MM = 5.0
#: Half of the template's field of view with a margin: the lattice covers -LATTICE_REACH_MM to +LATTICE_REACH_MM.
LATTICE_REACH_MM = 150.0


@final
@dataclass(frozen=True, eq=False)
class LesionPart:
    """An ellipsoid, or a sheet along a wall.

    Attributes:
        axes: rows are unit vectors of the three half axes.
        radii_mm: half lengths along ``axes``.
        wall: cavity of the wall along which it lies: the distance to the wall, relative to the last radius, replaces
            the position along the last axis.
        late: level at its core: a late part joins the lesion only when the others have grown to this level.
    """

    centre_mm: Float[np.ndarray, "3"]
    axes: Float[np.ndarray, "3 3"]
    radii_mm: Float[np.ndarray, "3"]
    wall: str | None = None
    late: float = 0.0

    def level(
        self, points_mm: Float[np.ndarray, "n 3"], wall_mm: Mapping[str, Float[np.ndarray, " n"]]
    ) -> Float[np.ndarray, " n"]:
        """Return the level at ``points_mm``: 0 at the core, 1 on the nominal surface."""
        along = (points_mm - self.centre_mm) @ self.axes.T
        if self.wall is not None:
            along[:, 2] = wall_mm[self.wall]
        return self.late + np.sqrt(((along / self.radii_mm) ** 2).sum(axis=1))


@final
@dataclass(frozen=True, eq=False)
class Lesion:
    """A planned lesion.

    Attributes:
        zone: zone of the atlas.
        parts: parts whose union it is.
        largest_mm3: maximum to which its volume may be raised to reach the patient's total.
        confined: whether it must stay within its zone.
        white_only: whether it must stay within the white matter.
        roughness: unevenness of its border, as standard deviation of the logarithm of the level.
        cloud: whether it has a soft edge and an uneven interior.
    """

    zone: str
    parts: Sequence[LesionPart]
    volume_mm3: float
    largest_mm3: float
    confined: bool = False
    white_only: bool = True
    roughness: float = 0.15
    cloud: bool = False

    @property
    def core_mm(self) -> Float[np.ndarray, "3"]:
        """Starting position of the lesion."""
        return self.parts[0].centre_mm

    def level(
        self,
        points_mm: Float[np.ndarray, "n 3"],
        wall_mm: Mapping[str, Float[np.ndarray, " n"]],
        roughness: Float[np.ndarray, " n"],
    ) -> Float[np.ndarray, " n"]:
        """Return the minimum level over all parts, with roughness."""
        lowest = self.parts[0].level(points_mm, wall_mm)
        for part in self.parts[1:]:
            np.minimum(lowest, part.level(points_mm, wall_mm), out=lowest)
        return lowest * np.exp(self.roughness * roughness)

    def reach_mm(self, volume_mm3: float) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Return two corners of a box that contains the lesion at ``volume_mm3``, with sheets and rough borders."""
        radii = np.array([part.radii_mm.max() for part in self.parts])
        growth = max(1.0, (volume_mm3 / self.volume_mm3) ** (1 / 2))
        centres = np.array([part.centre_mm for part in self.parts])
        room = (1.4 * growth * radii + 4.0)[:, None]
        return (centres - room).min(axis=0), (centres + room).max(axis=0)


def random_axes(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Return three orthogonal unit vectors with uniform random directions."""
    axes, upper = np.linalg.qr(rng.standard_normal((3, 3)))
    return (axes * np.sign(np.diag(upper))).T


def axes_from(first: Float[np.ndarray, "3"], last: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Return axes whose last is ``last`` and whose first is ``first`` made orthogonal to it."""
    last = last / np.linalg.norm(last)
    first = first - (first @ last) * last
    first = first / max(float(np.linalg.norm(first)), 1e-9)
    return np.stack([first, np.cross(last, first), last])


def ellipsoid(centre_mm: Float[np.ndarray, "3"], volume_mm3: float, rng: np.random.Generator) -> LesionPart:
    """Return an ellipsoid of random direction, with its longest axis 1.2 to 2.7 times the second."""
    low, usual, high = parameters()["elongation"]
    ratio = float(rng.triangular(low, usual, high))
    flatness = float(rng.uniform(1.0, 1.8))
    mean_mm = (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3)
    radii = np.array([ratio, 1.0, 1 / flatness])
    return LesionPart(centre_mm, random_axes(rng), mean_mm * radii / np.prod(radii) ** (1 / 3))
