"""Placing lesions in a head: as required by the disease and features of a patient, where the anatomy permits."""

from typing import final

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from joint_seg_cls.phantom.atlas import Atlas
from joint_seg_cls.phantom.head import TEMPLATE_BOX_MM, Head
from joint_seg_cls.phantom.lesion_shapes import LesionShapes, Shape
from joint_seg_cls.phantom.parameters import parameters
from joint_seg_cls.phantom.patient import Patient
from joint_seg_cls.phantom.plan import BELOW_TENTORIUM, ZONE_OF_FEATURE, filler_zones
from joint_seg_cls.phantom.raster import CONNECTED
from joint_seg_cls.phantom.smooth_noise import smooth_noise

#: Maximum number of lesions, stored in one byte.
MOST_LESIONS = 250
_SMALLEST_MM3 = 6
#: Minimum fraction of a lesion on permitted tissue.
_FITTING = 0.6
#: Fraction of the volume in confluent lesions, for large and for small loads.
_CONFLUENT_SHARE, _LARGE_LOAD_MM3 = (0.3, 0.85), 4000.0
_CONFLUENT_REACH_MM = 25.0
#: Missing fraction of the load above which large lesions are added.
_ENOUGH = 0.1
_ZONE_OF_FEATURE = {**ZONE_OF_FEATURE, "corticospinal": "corticospinal", "punctate": "subcortical"}
_LARGEST_MM3 = {"area_postrema": 80.0, "hypothalamus": 120.0, "subcortical": 60.0, "pons": 600.0, "cerebellum": 600.0}


def place_lesions(
    head: Head, patient: Patient, volume_ml: float, shapes: LesionShapes, rng: np.random.Generator
) -> UInt8[np.ndarray, "x y z"]:
    """Return the lesion numbers from 1, on the voxels of ``head``.

    MS: confluent lesions around the lateral ventricles, and shapes in the zones of the patient's features.
    NMOSD: linear lesions along the ependyma, clouds, and shapes in the zones of its features. In both diseases
    the regions of absent features stay free of lesions.
    """
    placed = _PlacedLesions(head.atlas, patient, rng)
    if patient.count:
        left_mm3 = volume_ml * 1000
        if patient.drawn_as == "MS" and "periventricular" in patient.features:
            low, high = _CONFLUENT_SHARE if left_mm3 > _LARGE_LOAD_MM3 else (0.0, 0.5)
            placed.confluent(left_mm3 * float(rng.uniform(low, high)))
        for wall in _walls(patient, rng):
            placed.band(wall)
        if "cloud" in patient.features or (patient.drawn_as == "NMOSD" and left_mm3 > _LARGE_LOAD_MM3):
            placed.cloud(float(rng.uniform(0.2, 0.7)) * left_mm3)
        for feature, zone in _ZONE_OF_FEATURE.items():
            if feature in patient.features:
                placed.place_in(zone, shapes)
        _fill(placed, patient, left_mm3, shapes, rng)
        if (missing_mm3 := left_mm3 - placed.volume_mm3) > _ENOUGH * left_mm3:
            grow = placed.confluent if "periventricular" in patient.features else placed.cloud
            grow(missing_mm3)
    lesions = np.zeros(head.tissue.shape, dtype=np.uint8)
    lesions[head.brain_box] = placed.lesions
    return lesions


def _walls(patient: Patient, rng: np.random.Generator) -> list[str]:
    """Return the ventricular walls with linear lesions."""
    walls = ["lateral_ventricle"] * (1 + (patient.count > 8)) if "linear_ependymal" in patient.features else []
    if "periependymal" in patient.features:
        walls.append(str(rng.choice(["third_ventricle", "fourth_ventricle", "aqueduct"])))
    if "periventricular" in patient.features and patient.drawn_as == "NMOSD" and not walls:
        walls.append("lateral_ventricle")
    return walls


def _fill(
    placed: "_PlacedLesions", patient: Patient, volume_mm3: float, shapes: LesionShapes, rng: np.random.Generator
) -> None:
    """Add lesions until the volume or the number is reached, or none fits."""
    is_periventricular = patient.drawn_as == "MS" and "periventricular" in patient.features
    zones = filler_zones(patient, **({"periventricular": 0.25} if is_periventricular else {}))
    names, weights = list(zones), np.array(list(zones.values()))
    most = min(MOST_LESIONS - 60, max(3 * patient.count, 30))
    for _ in range(4 * most):
        left_mm3 = volume_mm3 - placed.volume_mm3
        if left_mm3 < _SMALLEST_MM3 or placed.count >= most:
            return
        zone = str(names[int(rng.choice(len(names), p=weights))])
        largest = min(_LARGEST_MM3.get(zone, np.inf), max(0.5 * left_mm3, 30.0))
        placed.place_in(zone, shapes, largest_mm3=largest, own_place=patient.drawn_as == "MS" and rng.random() < 0.6)


@final
class _PlacedLesions:
    """The lesions placed so far, within the atlas's box."""

    def __init__(self, atlas: Atlas, patient: Patient, rng: np.random.Generator) -> None:
        self.lesions = np.zeros(atlas.tissue.shape, dtype=np.uint8)
        self.count = 0
        self._atlas, self._rng = atlas, rng
        self._permitted = atlas.permitted(patient.features)
        self._positions: dict[str, np.ndarray] = {}

    @property
    def volume_mm3(self) -> float:
        return float(np.count_nonzero(self.lesions))

    def confluent(self, volume_mm3: float) -> None:
        """Draw lesions around the lateral ventricles, in the nearest white matter, with uneven borders."""
        rng, shape = self._rng, self.lesions.shape
        wall_mm = self._atlas.wall_mm["lateral_ventricle"]
        room = self._permitted & self._atlas.white & (wall_mm < _CONFLUENT_REACH_MM)
        room &= (wall_mm > float(rng.choice([0.0, 0.5, 1.0]))) & (self.lesions == 0)
        score = wall_mm - float(rng.uniform(3, 9)) * smooth_noise(shape, float(rng.uniform(8, 22)), rng)
        score -= 1.5 * smooth_noise(shape, 4, rng)
        score += float(rng.uniform(0, 3)) * np.abs(smooth_noise(shape, 30, rng))
        self._lowest(score, room, volume_mm3, opened=rng.random() < 0.5)

    def cloud(self, volume_mm3: float) -> None:
        """Draw one large hemispheric lesion of the white matter."""
        rng, centres = self._rng, self._of("deep")
        if not centres.size or volume_mm3 < _SMALLEST_MM3:
            return
        centre = centres[rng.integers(len(centres))]
        away = np.sqrt(sum(((np.arange(n) - c) ** 2).reshape([-1 if k == a else 1 for k in range(3)])
                           for a, (n, c) in enumerate(zip(self.lesions.shape, centre, strict=True))))  # fmt: skip
        score = away - float(rng.uniform(2, 6)) * smooth_noise(self.lesions.shape, 10, rng)
        self._lowest(
            score.astype(np.float32),
            self._permitted & self._atlas.white & (self.lesions == 0) & (away < 60),
            volume_mm3,
            opened=True,
        )

    def band(self, wall: str) -> None:
        """Draw a thin lesion along a ventricle's wall."""
        rng, table = self._rng, parameters()
        thickness = float(rng.uniform(*table["band_thickness_mm"]))
        near = self._permitted & (self._atlas.wall_mm[wall] <= thickness)
        places = np.argwhere(near)
        if not len(places):
            return
        reach = float(rng.uniform(*table["band_length_mm"])) / 2
        centre = places[rng.integers(len(places))]
        chosen = places[np.linalg.norm(places - centre, axis=1) <= reach]
        mask = np.zeros(near.shape, dtype=bool)
        mask[tuple(chosen.T)] = True
        pieces, _ = ndimage.label(mask, CONNECTED)
        self._add(pieces == pieces[tuple(centre)], (slice(None),) * 3)

    def place_in(self, zone: str, shapes: LesionShapes, *, largest_mm3: float = 400.0, own_place: bool = False) -> None:
        """Place one shape in a zone, or at its original position if it has one, with a few attempts."""
        largest_mm3 = min(largest_mm3, _LARGEST_MM3.get(zone, np.inf))
        for _ in range(6):
            shape = shapes.draw(largest_mm3, self._rng)
            centre = self._own_place(shape) if own_place else None
            if centre is None:
                places = self._of(zone)
                if not len(places):
                    return
                centre = places[self._rng.integers(len(places))]
            if self._put(shape.mask, np.round(centre).astype(int), on_grey=zone in ("deep_grey", *BELOW_TENTORIUM)):
                return

    def _own_place(self, shape: Shape) -> np.ndarray | None:
        if shape.place_mm is None:
            return None
        grid = self._atlas.grid
        moved = np.clip(shape.place_mm + self._rng.normal(0, 4, 3), *TEMPLATE_BOX_MM)
        return (moved - grid.affine[:3, 3]) / np.diag(grid.affine)[:3]

    def _of(self, zone: str) -> np.ndarray:
        if zone not in self._positions:
            self._positions[zone] = np.argwhere(self._atlas.zones[zone] & self._permitted)
        return self._positions[zone]

    def _put(self, mask: Bool[np.ndarray, "x y z"], centre: np.ndarray, *, on_grey: bool) -> bool:
        corner = centre - np.array(mask.shape) // 2
        low, high = np.maximum(corner, 0), np.minimum(corner + mask.shape, self.lesions.shape)
        if (high <= low).any() or self.count >= MOST_LESIONS:
            return False
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        part = mask[tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))]
        room = self._permitted[here] & (self._atlas.tissue[here] if on_grey else self._atlas.white[here])
        fitting = part & room & (self.lesions[here] == 0)
        if fitting.sum() < max(_FITTING * mask.sum(), _SMALLEST_MM3):
            return False
        return self._add(fitting, here)

    def _lowest(self, score: np.ndarray, room: np.ndarray, volume_mm3: float, *, opened: bool) -> None:
        """Select the voxels with the lowest score; each connected component is a lesion."""
        values, wanted = score[room], int(volume_mm3)
        if not _SMALLEST_MM3 <= wanted < values.size:
            return
        mask = room & (score <= np.partition(values, wanted)[wanted])
        mask = ndimage.binary_opening(mask) if opened else mask
        pieces, number = ndimage.label(mask)
        sizes = np.bincount(pieces.ravel(), minlength=number + 1)
        largest = np.argsort(-sizes[1:], kind="stable")[: MOST_LESIONS // 2] + 1
        boxes = ndimage.find_objects(pieces)
        for piece in largest[sizes[largest] >= _SMALLEST_MM3].tolist():
            self._add(pieces[boxes[piece - 1]] == piece, boxes[piece - 1])

    def _add(self, mask: np.ndarray, here: tuple[slice, ...]) -> bool:
        free = mask & (self.lesions[here] == 0)
        if self.count >= MOST_LESIONS or not free.any():
            return False
        self.count += 1
        self.lesions[here][free] = self.count
        return True
