"""Planned lesions of a patient and their positions, in template millimetres."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float32

from joint_seg_cls.phantom.atlas import zone_positions_mm
from joint_seg_cls.phantom.parameters import parameters, stream
from joint_seg_cls.phantom.patient import Patient
from joint_seg_cls.phantom.periventricular import band, confluent_mass, small_caps
from joint_seg_cls.phantom.shapes import (
    LATTICE_REACH_MM,
    ROUGHNESS_LATTICE_MM,
    Lesion,
    LesionPart,
    ellipsoid,
    random_axes,
)

#: Course of the pyramidal tract (MNI mm, x mirrored): corona radiata, internal capsule, peduncle.
_PYRAMIDAL_MM = np.array(
    [(26, -21, 30), (25, -19, 20), (23, -17, 12), (21, -15, 4), (18, -16, -3), (14, -17, -10), (11, -19, -18)],
    dtype=float,
)
#: The zone of lesions that a feature requires.
ZONE_OF_FEATURE = {
    "callosal": "callosum",
    "pons": "pons",
    "cerebellum": "cerebellum",
    "area_postrema": "area_postrema",
    "hypothalamus": "hypothalamus",
    "inferior_temporal": "inferior_temporal",
    "juxtacortical": "juxtacortical",
}
BELOW_TENTORIUM = ("pons", "cerebellum", "midbrain", "medulla")
_CONFINED = (
    "pons",
    "midbrain",
    "medulla",
    "cerebellum",
    "area_postrema",
    "hypothalamus",
    "callosum",
    "deep_grey",
    "inferior_temporal",
)
#: Minimum gap between two lesions.
_APART_MM = 3.0
_SMALLEST_MM3 = 6.0
#: Number of reserve lesions, for positions that are occupied and for later visits.
_RESERVE_SHARE, _RESERVE = 0.5, 12


@final
@dataclass(frozen=True, eq=False)
class LesionPlan:
    """The planned lesions of a patient.

    Attributes:
        mass: the confluent periventricular lesions, drawn first, with ``mass_share`` of the volume.
        lesions: the others in order of appearance: those required by features, then others and a reserve.
        mass_share: fraction of the total volume in ``mass``.
        roughness: unevenness of borders, standard normal on a lattice of ``ROUGHNESS_LATTICE_MM``.
    """

    patient: Patient
    mass: Lesion | None
    lesions: tuple[Lesion, ...]
    mass_share: float
    roughness: Float32[np.ndarray, "n n n"]


def plan_lesions(patient: Patient, seed: int, subject: int) -> LesionPlan:
    """Plan the lesions of ``patient``; depends only on the patient and (seed, subject), not on a grid."""
    rng = stream(seed, subject, "lesions")
    size = int(2 * LATTICE_REACH_MM / ROUGHNESS_LATTICE_MM) + 1
    roughness = rng.standard_normal((size, size, size), dtype=np.float32)
    if not patient.count:
        return LesionPlan(patient, None, (), 0.0, roughness)
    mass, share = None, 0.0
    if patient.drawn_as == "MS" and "periventricular" in patient.features:
        fewest, most = (1, 14) if patient.count > 4 else (1, 2)
        parts = int(np.clip(rng.poisson(1.2 * np.sqrt(patient.count)), fewest, most))
        share = float(np.clip(rng.normal(parameters()["periventricular_volume_share"], 0.1), 0.4, 0.9))
        mass = confluent_mass(parts, share * patient.volume_ml * 1000, radial="dawson" in patient.features, rng=rng)
    named = _named_lesions(patient, rng)
    lesions = _Placed()
    for lesion in named:
        lesions.add(lesion)
    fillers = round(patient.count * (1 + _RESERVE_SHARE)) + _RESERVE
    zones = filler_zones(patient)
    for zone in rng.choice(list(zones), fillers, p=np.array(list(zones.values()))):
        lesions.try_add(str(zone), rng, punctate=zone == "subcortical")
    return LesionPlan(patient, mass, tuple(lesions.lesions), share, roughness)


def _named_lesions(patient: Patient, rng: np.random.Generator) -> list[Lesion]:
    """Return the lesions required by the patient's features."""
    features, lesions = patient.features, []
    if "periventricular" in features and patient.drawn_as == "NMOSD" and "linear_ependymal" not in features:
        lesions += small_caps(1 + (patient.count > 6), radial="dawson" in features, rng=rng)
    if "linear_ependymal" in features:
        lesions += [band("lateral_ventricle", rng) for _ in range(1 + (patient.count > 8))]
    if "periependymal" in features:
        lesions.append(band(str(rng.choice(["third_ventricle", "fourth_ventricle", "aqueduct"])), rng))
    if "corticospinal" in features:
        lesions.append(_ribbon(rng) if patient.drawn_as == "NMOSD" else _single("corticospinal", rng))
    if "cloud" in features:
        lesions.append(_cloud(rng))
    if "infratentorial" in features and not {"pons", "cerebellum"} & features:
        lesions.append(_single(str(rng.choice(["midbrain", "medulla"], p=(0.6, 0.4))), rng))
    lesions += [_single(zone, rng) for feature, zone in ZONE_OF_FEATURE.items() if feature in features]
    if "punctate" in features:
        lesions.append(_single("subcortical", rng, punctate=True))
    return lesions


def filler_zones(patient: Patient, **more: float) -> dict[str, float]:
    """Return the zones of lesions that no feature requires, with their fractions.

    Args:
        more: fractions of further zones, before normalisation.
    """
    needs = {zone: feature for feature, zone in ZONE_OF_FEATURE.items()} | {"subcortical": "punctate"}
    shares = {}
    for zone, share in parameters()["filler_share"][patient.drawn_as].items():
        if zone == "infratentorial":
            parts = [part for part in ("pons", "cerebellum") if part in patient.features]
            parts = parts or (["midbrain", "medulla"] if "infratentorial" in patient.features else [])
            shares |= {part: share / len(parts) for part in parts}
        elif zone not in needs or needs[zone] in patient.features:
            shares[zone] = share
    shares |= more
    total = sum(shares.values())
    return {zone: share / total for zone, share in shares.items()}


def _single(zone: str, rng: np.random.Generator, *, punctate: bool = False) -> Lesion:
    """Return an ellipsoid in a zone, or a small ball."""
    table = parameters()
    candidates = zone_positions_mm()[zone]
    centre_mm = candidates[rng.integers(len(candidates))] + rng.uniform(-0.9, 0.9, 3)
    if punctate:
        radii = rng.uniform(*table["punctate_diameter_mm"], size=3) / 2
        part = LesionPart(centre_mm, random_axes(rng), radii)
        volume_mm3 = float(4 / 3 * np.pi * np.prod(radii))
        return Lesion(zone, [part], volume_mm3, np.pi / 6 * table["punctate_diameter_mm"][1] ** 3)
    small = {"area_postrema": (3.6, 0.5), "hypothalamus": (4.2, 0.6), "corticospinal": (4.6, 0.7)}
    mean, sd = small.get(zone) or table["ln_lesion_mm3"]["infratentorial" if zone in BELOW_TENTORIUM else zone]
    volume_mm3 = float(np.exp(np.clip(rng.normal(mean, sd), np.log(_SMALLEST_MM3), np.log(3000.0))))
    return Lesion(
        zone,
        [ellipsoid(centre_mm, volume_mm3, rng)],
        volume_mm3,
        max(3 * volume_mm3, 600.0) if zone not in small else 2 * volume_mm3,
        confined=zone in _CONFINED,
        white_only=zone in ("juxtacortical", "deep", "subcortical", "callosum"),
    )


def _ribbon(rng: np.random.Generator) -> Lesion:
    """Return a lesion along the pyramidal tract, 5-8 mm wide and 20-50 mm long."""
    table = parameters()
    course = _PYRAMIDAL_MM * (rng.choice((-1, 1)), 1, 1)
    steps = np.linalg.norm(np.diff(course, axis=0), axis=1)
    reached = np.concatenate([[0.0], np.cumsum(steps)])
    length = min(float(rng.uniform(*table["ribbon_length_mm"])), reached[-1])
    width = float(rng.uniform(*table["ribbon_width_mm"]))
    start = float(rng.uniform(0, reached[-1] - length))
    places = np.arange(start, start + length + 1e-6, width / 3)
    line = np.stack([np.interp(places, reached, course[:, axis]) for axis in range(3)], axis=1)
    line = line[np.argsort(np.abs(np.arange(len(line)) - len(line) // 2), kind="stable")]
    parts = [LesionPart(centre, np.eye(3), np.full(3, width / 2)) for centre in line]
    volume_mm3 = np.pi / 4 * width**2 * length
    return Lesion("corticospinal", parts, volume_mm3, 1.5 * volume_mm3, white_only=False, roughness=0.05)


def _cloud(rng: np.random.Generator) -> Lesion:
    """Return a large hemispheric lesion: merging balls in the white matter, soft edge, uneven inside."""
    candidates = zone_positions_mm()["deep"]
    low, high = parameters()["cloud_volume_ml"]
    volume_mm3 = 1000 * float(np.clip(np.exp(rng.normal(np.log(4.0), 0.8)), low, high))
    centre_mm = candidates[rng.integers(len(candidates))] + rng.uniform(-0.9, 0.9, 3)
    radius = (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3)
    offsets = np.concatenate([np.zeros((1, 3)), 0.7 * radius * rng.standard_normal((4, 3))])
    parts = [LesionPart(centre_mm + offset, random_axes(rng), radius * rng.uniform(0.5, 0.9, 3)) for offset in offsets]
    return Lesion("deep", parts, volume_mm3, 1000 * high, roughness=0.3, cloud=True)


class _Placed:
    """Lesions placed so far, to keep new ones separate."""

    def __init__(self) -> None:
        self.lesions: list[Lesion] = []
        self._balls: list[tuple[float, float, float, float]] = []

    def add(self, lesion: Lesion) -> None:
        self.lesions.append(lesion)
        self._balls += [(*part.centre_mm, float(np.prod(part.radii_mm) ** (1 / 3))) for part in lesion.parts]

    def try_add(self, zone: str, rng: np.random.Generator, *, punctate: bool, tries: int = 4) -> None:
        for _ in range(tries):
            lesion = _single(zone, rng, punctate=punctate)
            if self._free(lesion.parts[0]):
                self.add(lesion)
                return

    def _free(self, part: LesionPart) -> bool:
        if not self._balls:
            return True
        balls = np.array(self._balls)
        gap = np.linalg.norm(balls[:, :3] - part.centre_mm, axis=1) - balls[:, 3] - np.prod(part.radii_mm) ** (1 / 3)
        return bool((gap > _APART_MM).all())
