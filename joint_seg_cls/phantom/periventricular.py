"""Lesions at the ventricles: the confluent mass of MS, and the smooth bands of NMOSD."""

import numpy as np
from jaxtyping import Float

from joint_seg_cls.phantom.atlas import load_atlas, voxel_at, wall_normals, zone_positions_mm
from joint_seg_cls.phantom.parameters import parameters
from joint_seg_cls.phantom.shapes import Lesion, LesionPart, axes_from

#: Typical positions of MS lesions around the lateral ventricles (MNI mm, x mirrored), their courses, and
#: weights: frontal horns, along the bodies and above them, trigones, beside occipital and temporal horns.
_PREFERRED = (
    ((20, 32, 4), (0.0, 0.5, 1.0), 1.0),
    ((22, 22, 18), (0.0, 1.0, 0.3), 0.9),
    ((23, 8, 29), (0.0, 1.0, 0.0), 1.1),
    ((24, -10, 34), (0.0, 1.0, 0.0), 1.3),
    ((25, -28, 34), (0.0, 1.0, 0.0), 1.2),
    ((28, -42, 24), (0.0, 1.0, 0.6), 1.1),
    ((33, -47, 13), (0.2, 1.0, 0.6), 1.2),
    ((35, -54, 4), (0.4, 1.0, 0.2), 1.2),
    ((29, -68, 5), (0.4, 1.0, 0.0), 1.0),
    ((40, -34, -6), (0.0, 1.0, -0.7), 0.8),
    ((40, -16, -18), (0.0, 1.0, -0.6), 0.5),
)
_SPREAD_MM = 4.0
#: Level at which a sheet extends into the white matter.
_RUNS_ON = 0.5
_FORWARD = np.array([0.0, 1.0, 0.0])


def confluent_mass(count: int, volume_mm3: float, *, radial: bool, rng: np.random.Generator) -> Lesion:
    """Return the periventricular lesions of an MS patient as one mass with parts that merge as it grows.

    Sheets on the wall of the ventricles that extend along their course; with ``radial`` every second part is an ovoid
    perpendicular to the wall, along the medullary veins (Dawson's finger).
    """
    parts = []
    for number, (place_mm, course) in enumerate(_places(count, rng)):
        seed_mm = _nearest_wall(place_mm, rng)
        normal = _normal(seed_mm, "lateral_ventricle")
        if radial and number % 2 == 0:
            parts.append(_ovoid(seed_mm, normal, rng))
            continue
        parts.append(_cap(seed_mm, normal, rng))
        length, width, depth = rng.uniform((7, 3.5, 3.5), (16, 6.5, 6.5))
        axes = axes_from(course + 0.15 * rng.standard_normal(3), rng.standard_normal(3))
        parts.append(LesionPart(place_mm, axes, np.array([length, width, depth]), late=_RUNS_ON))
    return Lesion("periventricular", parts, max(volume_mm3, 8.0), np.inf, roughness=0.3)


def small_caps(count: int, *, radial: bool, rng: np.random.Generator) -> list[Lesion]:
    """Return single lesions on the wall of the lateral ventricles, as in NMOSD outside bands."""
    lesions = []
    for place_mm, _ in _places(count, rng):
        seed_mm = _nearest_wall(place_mm, rng)
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
    part = LesionPart(seed_mm, axes, np.array([length / 2, width / 2, thickness + 0.5]), wall)
    volume_mm3 = np.pi / 4 * length * width * thickness
    return Lesion(zone, [part], volume_mm3, 2.5 * volume_mm3, white_only=False, roughness=0.05)


def _places(count: int, rng: np.random.Generator) -> list[tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]]:
    """Draw typical positions and their courses with random shifts; none repeats before all were used."""
    places = [
        (np.array(at) * (side, 1, 1), np.array(to) * (side, 1, 1), w) for at, to, w in _PREFERRED for side in (1, -1)
    ]
    chance = np.array([weight for *_, weight in places])
    order: list[int] = []
    while len(order) < count:
        order += [int(k) for k in rng.choice(len(places), len(places), replace=False, p=chance / chance.sum())]
    return [(places[k][0] + _SPREAD_MM * rng.standard_normal(3), places[k][1]) for k in order[:count]]


def _nearest_wall(place_mm: Float[np.ndarray, "3"], rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    candidates = zone_positions_mm()["periventricular"]
    return candidates[np.argmin(((candidates - place_mm) ** 2).sum(axis=1))] + rng.uniform(-0.5, 0.5, 3)


def _normal(position_mm: Float[np.ndarray, "3"], wall: str) -> Float[np.ndarray, "3"]:
    x, y, z = voxel_at(load_atlas(2).grid, position_mm)
    normal = wall_normals(wall)[:, x, y, z]
    return normal if np.linalg.norm(normal) > 0.1 else np.array([1.0, 0.0, 0.0])


def _ovoid(seed_mm: np.ndarray, normal: np.ndarray, rng: np.random.Generator) -> LesionPart:
    table = parameters()
    half_length = float(rng.uniform(*table["ovoid_length_mm"])) / 2
    ratio = float(rng.uniform(*table["ovoid_ratio"]))
    axes = axes_from(normal, rng.standard_normal(3))
    radii = np.array([half_length, half_length / ratio, half_length / ratio])
    return LesionPart(seed_mm + 0.6 * half_length * normal, axes, radii)


def _cap(seed_mm: np.ndarray, normal: np.ndarray, rng: np.random.Generator) -> LesionPart:
    length, width, thickness = rng.uniform((5, 3.0, 2.0), (11, 6, 4.0))
    axes = axes_from(_FORWARD + 0.3 * rng.standard_normal(3), normal)
    return LesionPart(seed_mm, axes, np.array([length, width, thickness]), "lateral_ventricle")
