"""Surroundings of the brain in a scan: none, or the rest of the head."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int16
from scipy import ndimage

from joint_seg_cls.phantom.acquisition import Acquisition, Sampler
from joint_seg_cls.phantom.anatomy import Anatomy
from joint_seg_cls.phantom.atlas import coordinates_mm
from joint_seg_cls.phantom.flair import Contrast, bias_field, magnitude
from joint_seg_cls.phantom.parameters import stream
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.template import load_template

#: Extension of a whole-head scan beyond a skull-stripped scan on each side.
_WIDER_MM = 16.0
#: Extension beyond the template's grid: the neck below, the face in front.
_BEYOND_VOXELS = 20
#: The skull bridges gaps of the brain's surface narrower than twice this distance.
_BRIDGED_MM = 14.0
#: Layers from the brain outwards: mean and sd of the thickness.
_LAYERS_MM = {
    "fluid": (2.0, 0.4),
    "inner_table": (2.2, 0.2),
    "marrow": (2.8, 0.6),
    "outer_table": (2.0, 0.2),
    "fat": (4.5, 1.2),
    "skin": (1.8, 0.2),
}
#: Intensity range of each layer relative to white matter; fluid has the scan's own intensity.
_BRIGHTNESS = {
    "inner_table": (0.04, 0.08),
    "marrow": (0.40, 0.75),
    "outer_table": (0.04, 0.08),
    "fat": (0.90, 1.45),
    "skin": (0.45, 0.70),
}
#: The orbits are outside the skull; below the skull there is muscle instead of fat and skin.
_ORBIT_MM, _BASE_MM = 6.0, 9.0
_MUSCLE = np.float32(0.45)
_THINNEST_MM, _BORDER_MM = 1.0, 0.4
#: Limits the extrapolation of the brain's receive field, a cubic polynomial.
_FIELD_REACH = 1.15


@runtime_checkable
class Skull(Protocol):
    """Adds the surroundings of the brain to a scan."""

    @property
    def name(self) -> str:
        """Its name in the record of a cohort."""
        ...

    @property
    def stripped(self) -> bool:
        """Whether the scan is 0 outside the brain."""
        ...

    def margin(self, acquisition: Acquisition) -> tuple[int, int, int]:
        """Return the number of voxels added to a skull-stripped scan on each side."""
        ...

    def around(self, scan: "StrippedScan") -> Int16[np.ndarray, "X Y Z"]:
        """Return the whole scan."""
        ...


@final
@dataclass(frozen=True, eq=False)
class StrippedScan:
    """The skull-stripped scan of a visit, and its parameters.

    Attributes:
        flair: the scan, 0 outside the brain.
        acquisition: the voxels of the skull-stripped scan.
        contrast: contrast of scanner and person.
        gain: intensity of white matter in the units of the file.
        seed, subject, visit: keys of the random streams.
    """

    flair: Int16[np.ndarray, "x y z"]
    brain: Bool[np.ndarray, "x y z"]
    acquisition: Acquisition
    anatomy: Anatomy
    contrast: Contrast
    gain: float
    seed: int
    subject: int
    visit: int


@final
class NoSkull:
    """No surroundings: 0 outside the brain."""

    name = "none"
    stripped = True

    def margin(self, acquisition: Acquisition) -> tuple[int, int, int]:
        """Return 0 for each axis."""
        return 0, 0, 0

    def around(self, scan: StrippedScan) -> Int16[np.ndarray, "X Y Z"]:
        """Return the skull-stripped scan."""
        return scan.flair


@final
class Shell:
    """Add a head: fluid, skull with marrow, fat and skin, eyes, face, and a truncated neck.

    The layers follow the smoothed surface of the brain. Values inside the brain equal those of the skull-stripped scan.
    """

    name = "shell"
    stripped = False

    def margin(self, acquisition: Acquisition) -> tuple[int, int, int]:
        """Return the number of voxels to beyond the skin."""
        x, y, z = (round(_WIDER_MM / spacing) for spacing in acquisition.grid.spacing_mm)
        return x, y, z

    def around(self, scan: StrippedScan) -> Int16[np.ndarray, "X Y Z"]:
        """Return the whole-head scan, enlarged by the margin on each side."""
        margin = self.margin(scan.acquisition)
        wide = scan.acquisition.widened(margin)
        inner = tuple(slice(side, side + size) for side, size in zip(margin, scan.brain.shape, strict=True))
        outside = np.ones(wide.grid.shape, dtype=bool)
        outside[inner] = ~scan.brain
        signal = self._signal(scan, wide)
        where = np.argwhere(outside) - margin
        field_rng = stream(scan.seed, scan.subject, "field", scan.visit)
        signal[outside] *= bias_field(
            np.clip(_centred(where, scan.brain.shape), -_FIELD_REACH, _FIELD_REACH),
            scan.contrast.bias,
            field_rng,
            over=_centred(np.argwhere(scan.brain), scan.brain.shape),
        )
        noise = stream(scan.seed, scan.subject, "head", scan.visit)
        values = scan.gain * magnitude(signal[outside], scan.contrast.noise_sd, noise)
        flair = np.zeros(wide.grid.shape, dtype=np.int16)
        flair[inner] = scan.flair
        flair[outside] = np.clip(np.round(values), 0, np.iinfo(np.int16).max)
        return flair

    def _signal(self, scan: StrippedScan, wide: Acquisition) -> Float32[np.ndarray, "X Y Z"]:
        """Return the head without receive field and noise; air is 0."""
        surroundings = _surroundings()
        rng = stream(scan.seed, scan.subject, "head")
        depths, values = [0.0], [scan.contrast.fluid]
        for layer, (mean, sd) in _LAYERS_MM.items():
            thickness = max(float(rng.normal(mean, sd)), _THINNEST_MM)
            value = float(rng.uniform(*_BRIGHTNESS[layer])) if layer in _BRIGHTNESS else scan.contrast.fluid
            depths += [depths[-1] + _BORDER_MM, depths[-1] + thickness]
            values += [value, value]
        depths.append(depths[-1] + _BORDER_MM)
        values.append(0.0)
        sampler = Sampler(wide, scan.anatomy, surroundings.grid)
        near = (surroundings.depth_mm < depths[-1] + 2) | (surroundings.beyond > 0)
        inside = sampler.brain(near.astype(np.float32))
        layers = np.interp(surroundings.depth_mm, depths, values).astype(np.float32)
        signal = np.zeros(wide.grid.shape, dtype=np.float32)
        cranium = surroundings.depth_mm < depths[-1]
        signal[inside] = sampler.average(np.where(cranium & ~surroundings.opening, layers, surroundings.beyond))
        return signal


@final
@dataclass(frozen=True, eq=False)
class _Surroundings:
    """The template's head, in voxels of 2 mm.

    Attributes:
        grid: larger than the template's grid.
        depth_mm: distance outside the smoothed surface of the brain; negative inside.
        beyond: intensity of structures other than the cranium: face, eyes, neck; 0 in air.
        opening: regions with other structures instead of the layers: spinal canal, orbits, muscle.
    """

    grid: Grid
    depth_mm: Float32[np.ndarray, "x y z"]
    beyond: Float32[np.ndarray, "x y z"]
    opening: Bool[np.ndarray, "x y z"]


@lru_cache(maxsize=1)
def _surroundings() -> _Surroundings:
    template = load_template(2)
    beyond = _BEYOND_VOXELS
    x, y, z = (side + beyond for side in template.grid.shape)
    grid = template.grid.cropped((-beyond, -beyond, -beyond), (x, y, z))
    spacing = grid.spacing_mm[0]
    brain = np.pad(template.brain, beyond)
    swollen = ndimage.distance_transform_edt(~brain) * spacing <= _BRIDGED_MM
    depth = _BRIDGED_MM + spacing * (ndimage.distance_transform_edt(~swollen) - ndimage.distance_transform_edt(swollen))
    depth = ndimage.gaussian_filter(depth, 1.0).astype(np.float32)
    face_and_neck, canal, orbits = _face_and_neck(coordinates_mm(grid))
    muscle = face_and_neck == _MUSCLE
    opening = canal | (orbits & (depth > _ORBIT_MM)) | (muscle & (depth > _BASE_MM))
    return _Surroundings(grid, depth, face_and_neck, opening)


def _face_and_neck(
    space: tuple[np.ndarray, ...],
) -> tuple[Float32[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"]]:
    """Return their intensity, the spinal canal and the orbits, in MNI millimetres ``space``."""
    x, y, z = space

    def ellipsoid(centre: tuple[int, int, int], radii: tuple[int, int, int]) -> np.ndarray:
        """Return the approximate distance from the centre relative to the radius, below 1 inside."""
        return np.sqrt(sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True)))

    beyond = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), dtype=np.float32)
    neck = np.where(z < -40, np.sqrt((x / 58) ** 2 + ((y + 35) / 62) ** 2) + 0 * z, 2)
    for body in (ellipsoid((0, 45, -58), (62, 52, 62)), neck):  # skin, fat, muscle
        for edge, value in ((1.0, 0.55), (0.96, 1.1), (0.88, _MUSCLE)):
            beyond[body < edge] = value
    beyond[ellipsoid((0, 62, -48), (16, 24, 22)) < 1] = 0.02  # nose and sinuses: air
    orbits = np.zeros(beyond.shape, dtype=bool)
    for side in (-1, 1):
        orbit = ellipsoid((32 * side, 56, -36), (17, 20, 15)) < 1
        orbits |= orbit
        beyond[orbit] = 1.1  # its fat
        eye = ellipsoid((32 * side, 62, -37), (12, 12, 12))
        beyond[eye < 1] = 0.7
        beyond[eye < 0.88] = 0.2  # its fluid
    canal = np.where(z < -58, np.sqrt(x**2 + (y + 44) ** 2) + 0 * z, np.inf)
    for edge, value in ((17, 0.06), (15, 0.5), (12, 0.06), (10, 0.2), (6, 0.95)):  # vertebra, fluid, cord
        beyond[canal < edge] = value
    return beyond, canal < 10, orbits


def _centred(voxels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return positions from -1 to 1 over the skull-stripped scan."""
    return 2 * voxels / np.array(shape) - 1
