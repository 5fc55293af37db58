"""Lesions that touch a ventricle: the confluent mass of MS, and the smooth bands of NMOSD."""

import numpy as np
from jaxtyping import Float

from joint_seg_cls.phantom.atlas import load_atlas, voxel_at, wall_normals, zone_positions_mm
from joint_seg_cls.phantom.parameters import parameters
from joint_seg_cls.phantom.shapes import Lesion, Part, axes_from

#: Where MS lesions gather along the lateral ventricles (MNI mm, x mirrored): tips and corners of the frontal horns, corners
#: of the bodies, trigones, occipital horns, temporal horns. The last number is the weight.
_PREFERRED = (
    ((17, 30, 4), 1.0),
    ((18, 24, 16), 0.8),
    ((20, 6, 24), 0.8),
    ((22, -14, 28), 1.0),
    ((25, -36, 24), 1.1),
    ((29, -46, 14), 1.2),
    ((31, -54, 4), 1.1),
    ((27, -68, 8), 0.8),
    ((37, -36, -8), 0.7),
)
_SPREAD_MM = 7.0
_FORWARD = np.array([0.0, 1.0, 0.0])


def confluent_mass(
    count: int, volume_mm3: float, *, radial: bool, rng: np.random.Generator
) -> Lesion:
    """Return the periventricular lesions of an MS patient as one mass whose parts merge as it grows.

    Wall-hugging caps along the horns and bodies; with ``radial`` every second part is an ovoid that stands on the wall
    along the medullary veins (Dawson's finger).
    """
    parts = []
    for number, seed_mm in enumerate(_wall_seeds(count, rng)):
        normal = _normal(seed_mm, "lateral_ventricle")
        if radial and number % 2 == 0:
            parts.append(_ovoid(seed_mm, normal, rng))
        else:
            parts.append(_cap(seed_mm, normal, rng))
    return Lesion("periventricular", parts, max(volume_mm3, 8.0), np.inf, roughness=0.3)


def small_caps(count: int, *, radial: bool, rng: np.random.Generator) -> list[Lesion]:
    """Return single lesions on the wall of the lateral ventricles, as NMOSD has them outside bands."""
    lesions = []
    for seed_mm in _wall_seeds(count, rng):
        normal = _normal(seed_mm, "lateral_ventricle")
        part = _ovoid(seed_mm, normal, rng) if radial else _cap(seed_mm, normal, rng)
        volume_mm3 = float(4 / 3 * np.pi * np.prod(part.radii_mm)) * (1.0 if radial else 0.3)
        lesions.append(Lesion("periventricular", [part], volume_mm3, 3000.0, roughness=0.1))
    return lesions


def band(wall: str, rng: np.random.Generator) -> Lesion:
    """Return a linear lesion, thin and smooth, along the ependyma of a cavity."""
    table = parameters()
    zone = "periventricular" if wall == "lateral_ventricle" else wall
    candidates = zone_positions_mm()[zone]
    seed_mm = candidates[rng.integers(len(candidates))] + rng.uniform(-1, 1, 3)
    thickness = float(rng.uniform(*table["band_thickness_mm"]))
    length = float(rng.uniform(*table["band_length_mm"])) * (1.0 if wall == "lateral_ventricle" else 0.45)
    width = float(rng.uniform(4, 9))
    course = _FORWARD if wall in ("lateral_ventricle", "third_ventricle") else np.array([0.0, 0.4, 1.0])
    axes = axes_from(course, _normal(seed_mm, wall))
    part = Part(seed_mm, axes, np.array([length / 2, width / 2, thickness + 0.5]), wall)
    volume_mm3 = np.pi / 4 * length * width * thickness
    return Lesion(zone, [part], volume_mm3, 2.5 * volume_mm3, white_only=False, roughness=0.05)


def _wall_seeds(count: int, rng: np.random.Generator) -> list[Float[np.ndarray, "3"]]:
    """Draw places on the lateral ventricles' walls, near the preferred ones, without repeating one before all had a turn."""
    candidates = zone_positions_mm()["periventricular"]
    places = [(np.array(place) * (side, 1, 1), weight) for place, weight in _PREFERRED for side in (1, -1)]
    centres, weights = np.array([p for p, _ in places], dtype=float), np.array([w for _, w in places])
    order: list[int] = []
    while len(order) < count:
        order += [int(k) for k in rng.choice(len(places), len(places), replace=False, p=weights / weights.sum())]
    seeds = []
    for place in order[:count]:
        wanted = centres[place] + _SPREAD_MM * rng.standard_normal(3) * (0.5, 1.0, 0.5)
        nearest = candidates[np.argmin(((candidates - wanted) ** 2).sum(axis=1))]
        seeds.append(nearest + rng.uniform(-0.5, 0.5, 3))
    return seeds


def _normal(position_mm: Float[np.ndarray, "3"], wall: str) -> Float[np.ndarray, "3"]:
    x, y, z = voxel_at(load_atlas(2).grid, position_mm)
    normal = wall_normals(wall)[:, x, y, z]
    return normal if np.linalg.norm(normal) > 0.1 else np.array([1.0, 0.0, 0.0])


def _ovoid(seed_mm: np.ndarray, normal: np.ndarray, rng: np.random.Generator) -> Part:
    table = parameters()
    half_length = float(rng.uniform(*table["ovoid_length_mm"])) / 2
    ratio = float(rng.uniform(*table["ovoid_ratio"]))
    axes = axes_from(normal, rng.standard_normal(3))
    radii = np.array([half_length, half_length / ratio, half_length / ratio])
    return Part(seed_mm + 0.6 * half_length * normal, axes, radii)


def _cap(seed_mm: np.ndarray, normal: np.ndarray, rng: np.random.Generator) -> Part:
    length, width, thickness = rng.uniform((6, 3.5, 2.5), (16, 7, 5.5))
    axes = axes_from(_FORWARD + 0.3 * rng.standard_normal(3), normal)
    return Part(seed_mm, axes, np.array([length, width, thickness]), "lateral_ventricle")
