"""Acquisition of a simulated scan: site, voxel size, slab, position; and sampling of volumes at its voxels."""

from dataclasses import dataclass, replace
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import ndimage

from joint_seg_cls.phantom.anatomy import Anatomy
from joint_seg_cls.phantom.atlas import positions_mm
from joint_seg_cls.phantom.parameters import parameters, stream
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.template import load_template

#: Spacing of the lattice on which template positions are computed before interpolation.
_LATTICE_MM = 5.0
_MARGIN_MM = (8.0, 14.0)
_AXIS = {"L": (-1, 0), "R": (1, 0), "P": (-1, 1), "A": (1, 1), "I": (-1, 2), "S": (1, 2)}
#: Tilt of the slab against the scanner's axes, and of the head within the slab (sd in degrees about x, y, z).
_SLAB_TILT_DEG, _HEAD_TILT_DEG = (9.0, 3.0, 3.0), (2.5, 1.5, 1.5)


@final
@dataclass(frozen=True, eq=False)
class Acquisition:
    """The voxels of a scan.

    Attributes:
        to_head: homogeneous matrix from voxel index to head mm.
        parts: number of thin slices averaged into one along the axis ``through``.
        through: array axis across the slices.
    """

    grid: Grid
    site: dict[str, Any]
    to_head: Float[np.ndarray, "4 4"]
    parts: int
    through: int

    def widened(self, margin: tuple[int, int, int]) -> "Acquisition":
        """Return the same voxels with ``margin`` further ones on each side."""
        start, stop = (-margin[0], -margin[1], -margin[2]), tuple(np.add(self.grid.shape, margin).tolist())
        shift = np.eye(4)
        shift[:3, 3] = start
        return replace(self, grid=self.grid.cropped(start, stop), to_head=self.to_head @ shift)


def draw_site(seed: int, subject: int, name: str | None) -> dict[str, Any]:
    """Return the named site's record, or draw one of the ordinary sites."""
    sites = parameters()["sites"]
    if name is not None:
        return next(site for site in sites if site["name"] == name)
    return sites[int(stream(seed, subject, "person").integers(len(sites) - 1))]


def draw_acquisition(
    site: dict[str, Any], anatomy: Anatomy, spacing_mm: Literal[1, 2], rng: np.random.Generator
) -> Acquisition:
    """Draw voxel size and position of one scan; at ``spacing_mm`` 2 voxels are twice as wide in plane, or 2 mm."""
    in_plane, thickness = float(rng.uniform(*site["in_plane_mm"])), float(rng.uniform(*site["slice_mm"]))
    isotropic = site["slice_mm"][1] <= 1
    in_plane, thickness = in_plane * spacing_mm, thickness * (spacing_mm if isotropic else 1)
    slab = _rotation(np.array(_SLAB_TILT_DEG) * rng.standard_normal(3))
    tilt = _rotation(np.array(_HEAD_TILT_DEG) * rng.standard_normal(3))
    offset_mm = rng.uniform(-15, 15, 3)
    margin_mm = float(rng.uniform(*_MARGIN_MM))
    axes = np.zeros((3, 3))
    for column, letter in enumerate(site["axes"]):
        sign, row = _AXIS[letter]
        axes[row, column] = sign
    through = 0 if isotropic and site["axes"][0] == "P" else int(np.flatnonzero(np.abs(axes[2]))[0])
    voxel_mm = np.full(3, in_plane)
    voxel_mm[through] = thickness
    box = (anatomy.to_head(_brain_outline_mm()) @ tilt.T) @ axes
    low, high = box.min(axis=0) - margin_mm, box.max(axis=0) + margin_mm
    x, y, z = (2 * int(np.ceil(n / 2)) for n in (high - low) / voxel_mm)
    in_slab = np.eye(4)
    in_slab[:3, :3] = axes * voxel_mm
    in_slab[:3, 3] = axes @ low
    affine, to_head = np.eye(4), np.eye(4)
    affine[:3] = slab @ in_slab[:3]
    affine[:3, 3] += offset_mm
    to_head[:3] = tilt.T @ in_slab[:3]
    return Acquisition(Grid((x, y, z), affine), site, to_head, max(round(thickness / spacing_mm), 1), through)


def _rotation(degrees: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_x = np.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    about_y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    about_z = np.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _brain_outline_mm() -> Float[np.ndarray, "n 3"]:
    template = load_template(2)
    return positions_mm(template.grid, np.argwhere(template.brain)[::7])


@final
class Sampler:
    """Samples volumes on the template's grid at the voxels of a scan, averaged over the slice thickness."""

    def __init__(self, acquisition: Acquisition, anatomy: Anatomy, template: Grid) -> None:
        self._acquisition = acquisition
        self._lattice, self._positions = _template_lattice(acquisition, anatomy, template)
        self._inside: tuple[np.ndarray, ...] | None = None

    def brain(self, brain: Float32[np.ndarray, "x y z"]) -> Bool[np.ndarray, "X Y Z"]:
        """Return the brain on the scan's grid; later calls sample only its voxels."""
        where = self._interpolated(0.0)
        mask = ndimage.map_coordinates(brain, where, order=1) > 0.5
        self._inside = np.nonzero(mask)
        self._where = [
            self._interpolated((part + 0.5) / self._acquisition.parts - 0.5)[(slice(None), *self._inside)]
            for part in range(self._acquisition.parts)
        ]
        return mask

    def average(self, volume: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, " n"]:
        """Return ``volume`` at each voxel of the brain, averaged across the slice."""
        total = sum(ndimage.map_coordinates(volume, where, order=1, mode="nearest") for where in self._where)
        return np.asarray(total / len(self._where), dtype=np.float32)

    def nearest(self, labels: Int[np.ndarray, "x y z"], chosen: Int[np.ndarray, " m"]) -> list[Int[np.ndarray, " m"]]:
        """Return for each thin slice the label nearest to each of the ``chosen`` voxels of the brain."""
        return [ndimage.map_coordinates(labels, where[:, chosen], order=0) for where in self._where]

    def _interpolated(self, shift: float) -> Float32[np.ndarray, "3 X Y Z"]:
        """Return template voxel coordinates of all voxels, shifted by ``shift`` voxels across the slices."""
        result = self._lattice
        for axis in np.argsort(self._acquisition.grid.shape):
            positions = self._positions[axis]
            where = np.arange(self._acquisition.grid.shape[axis]) + (shift if axis == self._acquisition.through else 0)
            low = np.clip(np.searchsorted(positions, where, side="right") - 1, 0, len(positions) - 2)
            part = (where - positions[low]) / (positions[low + 1] - positions[low])
            part = part.astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
            result = result.take(low, axis + 1) * (1 - part) + result.take(low + 1, axis + 1) * part
        return result


def _template_lattice(
    acquisition: Acquisition, anatomy: Anatomy, template: Grid
) -> tuple[Float32[np.ndarray, "3 i j k"], list[Float[np.ndarray, " n"]]]:
    positions = []
    for size, spacing in zip(acquisition.grid.shape, acquisition.grid.spacing_mm, strict=True):
        nodes = int(np.ceil((size + 1) * spacing / _LATTICE_MM)) + 1
        positions.append(np.linspace(-1.0, size, max(nodes, 2)))
    index = np.stack(np.meshgrid(*positions, indexing="ij"), axis=-1).reshape(-1, 3)
    head_mm = index @ acquisition.to_head[:3, :3].T + acquisition.to_head[:3, 3]
    template_mm = anatomy.to_template(head_mm)
    voxel = np.linalg.solve(template.affine[:3, :3], (template_mm - template.affine[:3, 3]).T)
    return voxel.reshape(3, *(len(p) for p in positions)).astype(np.float32), positions
