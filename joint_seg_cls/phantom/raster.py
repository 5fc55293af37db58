"""Drawing planned lesions on a grid with the patient's number of lesions and total volume."""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float, Int16
from scipy import ndimage

from joint_seg_cls.phantom.atlas import WALLS, Atlas, load_atlas, positions_mm, voxel_at
from joint_seg_cls.phantom.plan import LesionPlan
from joint_seg_cls.phantom.shapes import LATTICE_REACH_MM, ROUGHNESS_LATTICE_MM, Lesion
from joint_seg_cls.scan import Grid

#: Neighbourhood of a lesion: faces, edges and corners.
CONNECTED = np.ones((3, 3, 3), dtype=bool)
#: Minimum gap between lesions, which keeps them separate on the grid of the scan.
_GAP_MM = 3.0
_SMALLEST_MM3 = 6.0
#: Smaller pieces of the confluent mass are removed: a rough border does not create lesions.
_CRUMB_MM3 = 30.0
#: Resolution of positions; on a finer grid a lesion may begin in a neighbouring voxel.
_PLACE_MM = 2.0
#: Maximum distance of the confluent mass from the lateral ventricle.
_MASS_REACH_MM = 22.0


@final
@dataclass(frozen=True, eq=False)
class DrawnLesions:
    """Lesions on the template's grid.

    Attributes:
        labels: 0 outside; the confluent mass is 1, planned lesion k is k + 2.
        clouds: labels of lesions with a soft edge.
    """

    grid: Grid
    labels: Int16[np.ndarray, "x y z"]
    clouds: tuple[int, ...]

    @property
    def mask(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels of all lesions."""
        return self.labels > 0

    @property
    def count(self) -> int:
        """Number of separate lesions."""
        return int(ndimage.label(self.mask, CONNECTED)[1])

    @property
    def volume_ml(self) -> float:
        """Their volume."""
        return float(self.mask.sum()) * self.grid.voxel_ml


def draw_lesions(
    plan: LesionPlan, spacing_mm: Literal[1, 2], *, growth: float = 1.0, new_lesions: int = 0
) -> DrawnLesions:
    """Draw the lesions of a plan on the template at ``spacing_mm``.

    Args:
        growth: factor on the total volume, for a later visit.
        new_lesions: number of additional lesions, for a later visit.
    """
    atlas = load_atlas(spacing_mm)
    drawn = _LesionLabels(atlas, plan)
    count, volume_mm3 = plan.patient.count + new_lesions, plan.patient.volume_ml * 1000 * growth
    if count:
        _fill(drawn, plan, count, volume_mm3)
    clouds = tuple(number for number, lesion in enumerate(plan.lesions, start=2) if lesion.cloud)
    return DrawnLesions(atlas.grid, drawn.labels, clouds)


def _fill(drawn: "_LesionLabels", plan: LesionPlan, count: int, volume_mm3: float) -> None:
    mass_mm3 = plan.mass_share * volume_mm3
    left = count
    if plan.mass is not None:
        drawn.paint_mass(plan.mass, mass_mm3)
        left -= drawn.parts_of_mass()
    wanted = max(left, 0)
    sizes = _fitted(plan.lesions, wanted, volume_mm3 - mass_mm3)
    painted: dict[int, float] = {}
    for number, (lesion, size) in enumerate(zip(plan.lesions, sizes, strict=True), start=2):
        if len(painted) == wanted:
            break
        if drawn.paint(number, lesion, size):
            painted[number] = size
    missing_mm3 = volume_mm3 - drawn.volume_mm3
    if plan.mass is not None:
        drawn.paint_mass(plan.mass, max(drawn.volume_of(1) + missing_mm3, _SMALLEST_MM3))
    elif painted and abs(missing_mm3) > 0.02 * volume_mm3:
        elastic = [n for n in painted if not plan.lesions[n - 2].confined] or list(painted)
        for number in sorted(elastic, key=lambda n: -plan.lesions[n - 2].largest_mm3)[:3]:
            missing_mm3 = volume_mm3 - drawn.volume_mm3
            drawn.paint(number, plan.lesions[number - 2], max(drawn.volume_of(number) + missing_mm3, _SMALLEST_MM3))


def _fitted(lesions: tuple[Lesion, ...], wanted: int, volume_mm3: float) -> Float[np.ndarray, " n"]:
    """Scale all volumes by one factor, each within its limits, so that the first ``wanted`` sum to the total.

    If even the maximum volumes are too small, the lesion with the largest limit gets the rest.
    """
    nominal = np.array([lesion.volume_mm3 for lesion in lesions])
    largest = np.maximum([lesion.largest_mm3 for lesion in lesions], _SMALLEST_MM3)
    first = slice(0, wanted)
    low, high = 1e-4, 1e4
    for _ in range(60):
        middle = np.sqrt(low * high)
        total = np.clip(nominal[first] * middle, _SMALLEST_MM3, largest[first]).sum()
        low, high = (middle, high) if total < volume_mm3 else (low, middle)
    sizes = np.clip(nominal * low, _SMALLEST_MM3, largest)
    short = volume_mm3 - sizes[first].sum()
    if wanted and short > 0:
        free = np.array([0.0 if lesion.confined else lesion.largest_mm3 for lesion in lesions[first]])
        sizes[int(np.argmax(free))] += short
    return sizes


class _LesionLabels:
    """Labels on the template's grid, and occupied voxels."""

    def __init__(self, atlas: Atlas, plan: LesionPlan) -> None:
        self.labels = np.zeros(atlas.grid.shape, dtype=np.int16)
        self._atlas, self._plan = atlas, plan
        self._voxel_mm3 = atlas.grid.voxel_ml * 1000
        self._gap = round(_GAP_MM / atlas.grid.spacing_mm[0])
        self._permitted = atlas.permitted(plan.patient.features)
        self._mass_ranked: np.ndarray | None = None

    @property
    def volume_mm3(self) -> float:
        return float(np.count_nonzero(self.labels)) * self._voxel_mm3

    def volume_of(self, number: int) -> float:
        return float(np.count_nonzero(self.labels == number)) * self._voxel_mm3

    def parts_of_mass(self) -> int:
        return int(ndimage.label(self.labels == 1, CONNECTED)[1])

    def paint_mass(self, mass: Lesion, volume_mm3: float) -> None:
        """Draw the confluent mass as label 1, replacing its previous voxels; it avoids other lesions."""
        ranked = self._rank_mass(mass)
        others = self._around(self.labels > 1)
        ranked = ranked[~others.flat[ranked]]
        wanted = max(round(volume_mm3 / self._voxel_mm3), 1)
        chosen = self._lowest(ranked, wanted)
        if volume_mm3 > 10 * _CRUMB_MM3 and (crumbs := self._crumbs(chosen)).any():
            more = self._lowest(ranked, wanted + int(crumbs.sum()))
            chosen = more & ~self._crumbs(more)
        self.labels[self.labels == 1] = 0
        self.labels[chosen] = 1

    def _lowest(self, ranked: np.ndarray, wanted: int) -> np.ndarray:
        mask = np.zeros(self.labels.shape, dtype=bool)
        mask.flat[ranked[:wanted]] = True
        return mask

    def _crumbs(self, mask: np.ndarray) -> np.ndarray:
        pieces, _ = ndimage.label(mask, CONNECTED)
        small = np.bincount(pieces.ravel()) * self._voxel_mm3 < _CRUMB_MM3
        return mask & small[pieces]

    def _around(self, mask: np.ndarray) -> np.ndarray:
        """Return ``mask`` grown by the gap along each axis."""
        return ndimage.maximum_filter(mask, 2 * self._gap + 1)

    def _rank_mass(self, mass: Lesion) -> np.ndarray:
        """Return flat indices of the voxels available to the mass, in order of preference."""
        if self._mass_ranked is None:
            room = self._permitted & self._atlas.white & (self._atlas.wall_mm["lateral_ventricle"] <= _MASS_REACH_MM)
            room &= ~self._atlas.zones["callosum"] & ~self._atlas.spared["infratentorial"]
            voxels = np.argwhere(room)
            order = np.argsort(self._level(mass, voxels), kind="stable")
            self._mass_ranked = np.flatnonzero(room)[order]
        return self._mass_ranked

    def paint(self, number: int, lesion: Lesion, volume_mm3: float) -> bool:
        """Draw one lesion, replacing its previous voxels; return False if its position is occupied or not permitted."""
        grid = self._atlas.grid
        low, high = lesion.reach_mm(volume_mm3)
        low, high = voxel_at(grid, low), voxel_at(grid, high)
        outer = tuple(slice(max(a - self._gap, 0), b + 1 + self._gap) for a, b in zip(low, high, strict=True))
        here = self.labels[outer]
        others = (here > 0) & (here != number)
        room = self._permitted[outer] & ~(self._around(others) if others.any() else others)
        if lesion.confined:
            room &= self._atlas.zones[lesion.zone][outer]
        if lesion.white_only:
            room &= self._atlas.white[outer]
        start = np.array([part.start for part in outer])
        slack = round(_PLACE_MM / grid.spacing_mm[0]) // 2
        core = np.array(voxel_at(grid, lesion.core_mm)) - start
        if not room[tuple(slice(max(at - slack, 0), at + slack + 1) for at in core)].any():
            return False
        inside = np.argwhere(room)
        level = self._level(lesion, inside + start)
        chosen = inside[np.argsort(level, kind="stable")[: max(round(volume_mm3 / self._voxel_mm3), 1)]]
        new = np.zeros(room.shape, dtype=bool)
        new[tuple(chosen.T)] = True
        pieces, _ = ndimage.label(new, CONNECTED)
        here[here == number] = 0
        here[pieces == pieces[tuple(chosen[0])]] = number
        return True

    def _level(self, lesion: Lesion, voxels: np.ndarray) -> Float[np.ndarray, " n"]:
        points = positions_mm(self._atlas.grid, voxels)
        index = tuple(voxels.T)
        wall_mm = {name: self._atlas.wall_mm[name][index] for name in WALLS}
        where = ((points + LATTICE_REACH_MM) / ROUGHNESS_LATTICE_MM).T
        roughness = ndimage.map_coordinates(self._plan.roughness, where, order=1)
        return lesion.level(points, wall_mm, roughness)
