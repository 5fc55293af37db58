"""A scene: the labels of a deformed head with lesions on a grid. Expensive to simulate; images of it are cheap."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from joint_seg_cls.phantom.head import Head
from joint_seg_cls.phantom.smooth_noise import smooth_noise
from joint_seg_cls.phantom.tissue import Tissue, is_brain
from joint_seg_cls.scan.grid import bounding_box, cropped_or_padded

_TURN_SD_DEG = 7.0
_SCALE = (0.88, 1.12)
_SHEAR_SD = 0.03
_WARP_LENGTH_MM, _WARP_MM = 33.0, (0.5, 3.5)
#: Outward shift of the walls of the lateral ventricles, and its range.
_WIDER_MM, _WIDER_REACH_MM = (-0.8, 2.5), 9.0


@final
@dataclass(frozen=True, eq=False)
class Scene:
    """Labels in isotropic voxels, axes RAS+.

    Attributes:
        lesions: lesion numbers from 1; 0 elsewhere.
    """

    tissue: UInt8[np.ndarray, "x y z"]
    lesions: UInt8[np.ndarray, "x y z"]
    spacing_mm: float

    def cropped(self, box: tuple[slice, slice, slice]) -> "Scene":
        """Return a part of the scene."""
        return Scene(np.ascontiguousarray(self.tissue[box]), np.ascontiguousarray(self.lesions[box]), self.spacing_mm)

    def mirrored(self) -> "Scene":
        """Return the scene with left and right exchanged."""
        return Scene(np.ascontiguousarray(self.tissue[::-1]), np.ascontiguousarray(self.lesions[::-1]), self.spacing_mm)


def draw_scene(
    head: Head,
    lesions: UInt8[np.ndarray, "x y z"],
    shape: tuple[int, int, int],
    spacing_mm: float,
    rng: np.random.Generator,
) -> Scene:
    """Rotate, scale and warp a head with its lesions, shift its ventricular walls, and centre its brain on a grid."""
    matrix = _linear(rng)
    middle = np.array([(part.start + part.stop - 1) / 2 for part in bounding_box(is_brain(head.tissue))])
    axes = [(np.arange(side) - (side - 1) / 2) * spacing_mm for side in shape]
    source = _positions(axes, matrix, middle)
    for axis in range(3):
        bend = smooth_noise(shape, _WARP_LENGTH_MM / spacing_mm, rng) * rng.uniform(*_WARP_MM)
        source[axis] += bend
    away, corner = _away_from_ventricles(head)
    wider = float(rng.uniform(*_WIDER_MM))
    coarse = [(source[axis] - corner[axis]) / 2 for axis in range(3)]
    push = [ndimage.map_coordinates(part, coarse, order=1, mode="constant") for part in away]
    index = []
    for axis, side in enumerate(head.tissue.shape):
        index.append(np.clip(np.round(source[axis] - wider * push[axis]), 0, side - 1).astype(np.int32))
    where = (index[0], index[1], index[2])
    tissue, numbers = head.tissue[where], lesions[where]
    numbers[np.isin(tissue, (Tissue.LATERAL_VENTRICLE, Tissue.AIR))] = 0
    return _centred(Scene(tissue, numbers, spacing_mm))


def rotation(degrees: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Return the product of rotations about the first, second and third axis."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one, other = (k for k in range(3) if k != axis)
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def _linear(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    matrix = rotation(rng.normal(0, _TURN_SD_DEG, 3))
    matrix = matrix @ (np.eye(3) + _SHEAR_SD * np.triu(rng.standard_normal((3, 3)), 1))
    matrix = matrix @ np.diag(1 / rng.uniform(*_SCALE, 3))
    return matrix @ np.diag([-1.0, 1.0, 1.0]) if rng.random() < 0.5 else matrix


def _positions(axes: list[np.ndarray], matrix: np.ndarray, middle: np.ndarray) -> list[np.ndarray]:
    """Return the position of each grid voxel in the head, one array per axis."""
    x, y, z = axes
    return [
        (middle[k] + matrix[k, 0] * x[:, None, None] + (matrix[k, 1] * y[:, None] + matrix[k, 2] * z)).astype(
            np.float32
        )
        for k in range(3)
    ]


def _away_from_ventricles(head: Head) -> tuple[list[np.ndarray], list[int]]:
    """Return a field, in voxels of 2 mm, that points away from the lateral ventricles and decays; and its corner."""
    distance = head.atlas.wall_mm["lateral_ventricle"][::2, ::2, ::2]
    inside = distance <= 0
    signed = distance - 2 * ndimage.distance_transform_edt(inside).astype(np.float32)
    slope = np.gradient(ndimage.gaussian_filter(signed, 1.0), 2.0)
    length = np.maximum(np.sqrt(sum(part**2 for part in slope)), 0.3)
    fade = np.exp(-((signed / _WIDER_REACH_MM) ** 2))
    field = [ndimage.gaussian_filter(part / length * fade, 1.0).astype(np.float32) for part in slope]
    return field, [part.start for part in head.brain_box]


def _centred(scene: Scene) -> Scene:
    """Move the brain's bounding box to the centre of the grid."""
    shape, box = scene.tissue.shape, bounding_box(is_brain(scene.tissue))
    start = np.array([-round((side - part.start - part.stop) / 2) for side, part in zip(shape, box, strict=True)])
    tissue, lesions = (cropped_or_padded(volume, start, shape) for volume in (scene.tissue, scene.lesions))
    return Scene(tissue, lesions, scene.spacing_mm)
