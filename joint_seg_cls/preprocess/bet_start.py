"""The start of BET: brightness thresholds, the centre of the head and a sphere in it (Smith 2002 [1], 2.1 and 2.2).

[1] https://doi.org/10.1002/hbm.10062
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

#: Shares of the voxels below the robust minimum and maximum of the image.
_LOW, _HIGH = 0.02, 0.98
#: Above this share of the range between them the image is head.
HEAD_SHARE = 0.1
#: 2562 vertices.
_SUBDIVISIONS = 4
# fmt: off
_ICOSAHEDRON = (
    (0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6),
    (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7),
    (9, 8, 1),
)
# fmt: on


@final
@dataclass(frozen=True, eq=False)
class Start:
    """The initial surface of BET and its thresholds; symbols as in [1].

    Attributes:
        t2: robust minimum of the image.
        t: threshold between head and background.
        tm: median of the image inside a sphere as large as the head.
        vertices: of a sphere around the centre of the head, in voxels; its radius is half that of the head.
        faces: three vertices each, anticlockwise when viewed from outside.
    """

    t2: float
    t: float
    tm: float
    vertices: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "f 3"]


def find_start(image: Float32[np.ndarray, "x y z"]) -> Start | None:
    """Return the start of BET in an image of cubic voxels; None if no voxel is brighter than the background."""
    values = image.astype(np.float64)
    ranks = [min(int(np.ceil(share * values.size)) + 1, values.size - 1) for share in (_LOW, _HIGH)]
    t2, t98 = np.partition(values, ranks, axis=None)[ranks]
    t = (t98 - t2) * HEAD_SHARE + t2
    head = values > t
    weights = np.clip(values, t2, t98) * head
    if not (total := weights.sum()):
        return None
    axes = np.ogrid[tuple(map(slice, values.shape))]
    centre = np.array([(axis * weights).sum() / total for axis in axes])
    radius = 0.5 * np.cbrt(3 * np.count_nonzero(head) / (4 * np.pi))
    inside = _within(axes, centre, 2 * radius)
    if not inside.any() or (tm := float(np.median(values[inside]))) <= t2:
        return None
    vertices, faces = icosphere(radius, _SUBDIVISIONS)
    return Start(float(t2), float(t), tm, vertices + centre, faces)


def icosphere(radius: float, subdivisions: int) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "f 3"]]:
    """Return vertices and faces of a sphere about the origin: an icosahedron with faces divided in four repeatedly.

    Every vertex has six neighbours; the twelve of the icosahedron have five.
    """
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([(one, other * golden, 0) for other in (1, -1) for one in (-1, 1)]) / np.hypot(1, golden)
    vertices = np.concatenate([np.roll(corners, turn, axis=1) for turn in range(3)])
    faces = np.array(_ICOSAHEDRON)
    for _ in range(subdivisions):
        edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, middle = np.unique(edges[:, ::-1], axis=0, return_inverse=True)
        ab, bc, ca = middle.reshape(-1, 3).T + len(vertices)
        a, b, c = faces.T
        vertices = np.concatenate([vertices, vertices[unique[:, ::-1]].mean(axis=1)])
        faces = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1).reshape(-1, 3)
        length = np.sqrt(np.dot(vertices**2, [1, 1, 1]))[:, None]
        vertices += vertices / length * (radius - length)
    return vertices, faces


def _within(
    axes: tuple[Int[np.ndarray, "..."], ...], centre: Float[np.ndarray, "3"], radius: float
) -> Bool[np.ndarray, "x y z"]:
    x, y, z = (((axis - middle) / radius) ** 2 for axis, middle in zip(axes, centre, strict=True))
    return x + y + z <= 1
