"""The deformable surface of BET (Smith 2002 [1]): its movement, and the voxels that it encloses.

[1] https://doi.org/10.1002/hbm.10062
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import ndimage

from joint_seg_cls.scan.grid import cropped_or_padded

#: Maximum number of neighbours of a vertex of a refined icosahedron.
_MOST_NEIGHBOURS = 6
#: Step relative to the mean distance of neighbours at full contrast; tangential fraction of the step ([1], equations 5
#: and 12).
_PUSH, _SPREAD = 0.1, 0.5
#: Distance of sample points on the surface, in voxels, that leaves no gaps.
_DENSE = 0.5
_TRIANGLES_AT_ONCE = 1024


@final
@dataclass(frozen=True)
class Forces:
    """Parameters of the forces on the surface, in voxels and intensities of the image; symbols as in [1].

    Attributes:
        t2: robust minimum of the image.
        t: threshold between head and background.
        bt: fractional threshold between brain and background, 0.5 in [1]; larger makes the brain smaller.
        d1, d2: search depth for the darkest and the brightest voxel.
        smooth_from, smooth_until: radii of curvature between which the surface may bend.
    """

    t2: float
    t: float
    tm: float
    bt: float
    d1: float
    d2: float
    smooth_from: float
    smooth_until: float


@final
class Surface:
    """A closed mesh of triangles around a brain.

    Args:
        vertices: positions in voxels of the image.
        faces: three vertices each, anticlockwise when viewed from outside.
    """

    def __init__(self, vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "f 3"]) -> None:
        self.vertices = np.ascontiguousarray(vertices.T, dtype=np.float64)  # 3 n
        self.faces = faces
        n = self.vertices.shape[1]
        self._neighbours = np.full((_MOST_NEIGHBOURS, n), n)  # n: no neighbour
        self._corners = np.full((_MOST_NEIGHBOURS, n), faces.size)
        degree = np.zeros(n, dtype=int)
        for corner in range(3):
            for face, vertex in enumerate(faces[:, corner]):
                self._neighbours[degree[vertex], vertex] = faces[face, (corner + 1) % 3]
                self._corners[degree[vertex], vertex] = corner * len(faces) + face
                degree[vertex] += 1
        self._degree = degree
        self._there = self._neighbours < n

    def evolve(self, image: Float32[np.ndarray, "x y z"], forces: Forces, iterations: int) -> None:
        r"""Move every vertex ``iterations`` times by :math:`u_1 + u_2 + u_3` of [1], equations 4 to 13.

        With s the vector to the mean of a vertex's neighbours, its tangential part :math:`s_t`, its part :math:`s_n`
        along the normal, l the mean distance of neighbours:

        .. math::
            u_1 = s_t / 2, \quad u_2 = f_2\, s_n, \quad f_2 = (1 + \tanh F (1/r - E)) / 2, \quad r = l^2 / 2 |s_n|

            u_3 = 0.1\, l\, \frac{I_{min} - t_l}{I_{max} - t_2} \hat n, \quad t_l = (I_{max} - t_2)\, b_t + t_2

        Departs from [1], as does the implementation [2]: 0.1 instead of 0.05 in :math:`u_3`, which includes the 2 of
        equation 10. Outside the image is background, which pulls the surface back.
        """
        sampler = _Inwards(image, forces)
        bend = (1 / forces.smooth_from + 1 / forces.smooth_until) / 2
        slope = 6 / (1 / forces.smooth_from - 1 / forces.smooth_until)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # an image without a head, see `usable`
            for _ in range(iterations):
                normals = self._normals()
                to_mean, length = self._to_neighbours()
                along = (to_mean * normals).sum(axis=0)
                curvature = 2 * np.abs(along) / length**2
                smooth = (1 + np.tanh(slope * (curvature - bend))) / 2
                push = _PUSH * length * sampler.contrast(self.vertices, normals)
                self.vertices += _SPREAD * (to_mean - along * normals) + (smooth * along + push) * normals

    def usable(self, shape: tuple[int, int, int]) -> bool:
        """Return whether the surface is still near the image; without contrast it diverges."""
        return bool((np.abs(self.vertices) < 2 * max(shape)).all())  # False for NaN

    def solid(self, shape: tuple[int, int, int]) -> Bool[np.ndarray, "x y z"]:
        """Return the voxels that the surface touches or encloses; voxel centres have integer coordinates."""
        low = np.floor(self.vertices.min(axis=1)).astype(int) - 1
        size = np.ceil(self.vertices.max(axis=1)).astype(int) + 2 - low
        triangles = (self.vertices.T - low)[self.faces]  # f corner 3
        longest = max(
            np.linalg.norm(triangles[:, a] - triangles[:, b], axis=1).max() for a, b in ((0, 1), (1, 2), (2, 0))
        )
        parts = int(np.ceil(longest / _DENSE))
        first, second = np.nonzero(np.add.outer(np.arange(parts + 1), np.arange(parts + 1)) <= parts)
        weights = np.stack([first, second, parts - first - second], axis=1) / parts
        box = np.zeros(size, dtype=bool)
        for start in range(0, len(triangles), _TRIANGLES_AT_ONCE):
            points = np.einsum("wk,fkd->dwf", weights, triangles[start : start + _TRIANGLES_AT_ONCE])
            box[tuple(np.rint(points).astype(np.intp))] = True
        box = ndimage.binary_fill_holes(box)
        return cropped_or_padded(box, -low, shape)

    def _normals(self) -> Float[np.ndarray, "3 n"]:
        """Return outward unit normals: normals of the faces weighted by their angles at the vertex."""
        a, b, c = (self.vertices[:, self.faces[:, corner]] for corner in range(3))
        sides = [_unit(b - a), _unit(c - a), _unit(c - b)]
        normals = _unit(np.cross(sides[0], sides[1], axis=0))
        at_a = np.arccos(np.clip((sides[0] * sides[1]).sum(axis=0), -1, 1))
        at_b = np.arccos(np.clip(-(sides[0] * sides[2]).sum(axis=0), -1, 1))
        weighted = np.zeros((3, self.faces.size + 1))
        np.concatenate([normals * at_a, normals * at_b, normals * (np.pi - at_a - at_b)], axis=1, out=weighted[:, :-1])
        return _unit(weighted[:, self._corners].sum(axis=1))

    def _to_neighbours(self) -> tuple[Float[np.ndarray, "3 n"], float]:
        """Return the vector from each vertex to the mean of its neighbours, and the mean distance of neighbours."""
        away = np.concatenate([self.vertices, np.zeros((3, 1))], axis=1)[:, self._neighbours] - self.vertices[:, None]
        away *= self._there
        length = np.sqrt((away * away).sum(axis=0)).sum(axis=0) / self._degree
        return away.sum(axis=1) / self._degree, float(length.mean())


@final
class _Inwards:
    """Searches inwards from the surface for the darkest and the brightest voxel."""

    def __init__(self, image: Float32[np.ndarray, "x y z"], forces: Forces) -> None:
        self._forces = forces
        self._padded = np.pad(image, 1, constant_values=image.min())
        self._steps = np.arange(round(forces.d1) + 1)[:, None]
        self._short = round(forces.d2) + 1

    def contrast(
        self, vertices: Float[np.ndarray, "3 n"], normals: Float[np.ndarray, "3 n"]
    ) -> Float[np.ndarray, " n"]:
        r"""Return :math:`(I_{min} - t_l) / (I_{max} - t_2)`."""
        forces, where = self._forces, np.zeros((len(self._steps), vertices.shape[1]), dtype=np.intp)
        for position, normal, size in zip(vertices, normals, self._padded.shape, strict=True):
            index = np.rint(position + 1 - self._steps * normal)
            np.clip(index, 0, size - 1, out=index)
            where *= size
            where += index.astype(np.intp)
        values = self._padded.ravel()[where]
        darkest = np.maximum(forces.t2, np.minimum(forces.tm, values.min(axis=0)))
        span = np.minimum(forces.tm, np.maximum(forces.t, values[: self._short].max(axis=0))) - forces.t2
        return (darkest - forces.t2) / span - forces.bt


def _unit(vectors: Float[np.ndarray, "3 m"]) -> Float[np.ndarray, "3 m"]:
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(axis=0)), 1e-12)
