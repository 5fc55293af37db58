"""Two visits of one person: which lesions are new, grown, shrunk or gone after rigid registration."""

from dataclasses import dataclass, replace
from typing import Literal, final, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from joint_seg_cls.casepage.case import Case
from joint_seg_cls.casepage.volumes import lesion_points_mm
from joint_seg_cls.preprocess import Rigid
from joint_seg_cls.scan import Grid, Scan, reorient, resample_oblique

#: Kinds of change of a lesion, in the order of a table; ``unseen``: outside the field of view of the other scan.
Kind = Literal["new", "grown", "shrunk", "gone", "unseen", "stable"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: A lesion has grown (shrunk) if its volume is larger (smaller) by this factor and by this volume.
FACTOR, LEAST_CHANGE_ML = 1.5, 0.01
#: Maximum distance between voxels of a lesion at the two visits, in addition to half a voxel's diagonal.
APART_MM = 1.0
#: Below this correlation of the registered images, the comparison is unreliable. One simulated scan with and
#: without noise of 8 % of its maximum: 0.89; scans of different people: 0.52 and 0.66 (simulated), 0.27 (real).
POOR_CORRELATION = 0.7


@final
@dataclass(frozen=True)
class LesionChange:
    """Lesions that touch each other across the visits: their ids, volume in mL at each visit, and what has become."""

    kind: Kind
    before: tuple[str, ...]
    after: tuple[str, ...]
    before_ml: float
    after_ml: float


@final
@dataclass(frozen=True, eq=False)
class VisitComparison:
    """The change between two visits.

    Attributes:
        lesions: the lesions of both visits, by :data:`KINDS` and decreasing volume.
        now: the later visit; its labels are rows of ``lesions``, those gone drawn where they were.
        earlier: the earlier visit on the grid of the later one, with all its modalities, labelled in the same way.
        rotation_degrees, shift_mm: movement of the head between the scans.
        correlation: of the two images after registration, where either is brighter than the background.
    """

    lesions: tuple[LesionChange, ...]
    now: Case
    earlier: Case
    rotation_degrees: float
    shift_mm: float
    correlation: float

    @property
    def is_reliable(self) -> bool:
        """Whether the registered images agree."""
        return self.correlation >= POOR_CORRELATION


def compare_visits(before: tuple[Case, Scan], after: tuple[Case, Scan]) -> VisitComparison:
    """Register the earlier scan rigidly to the later one and match the lesions of the two.

    Lesions are connected across the visits if they touch (:data:`APART_MM`); a group of connected lesions is one row.

    Raises:
        ScanError: the scans cannot be registered.
    """
    (old, old_scan), (new, new_scan) = before, after
    moved = Rigid()(old_scan, new_scan)
    image = reorient(moved.data, new_scan.grid, new.grid)
    groups = _groups(old, new, moved.move)
    old_group, new_group = groups
    count = max([*old_group, *new_group], default=-1) + 1
    old_ml, new_ml = _volumes_ml(old), _volumes_ml(new)
    old_seen, new_seen = _are_inside(old, new.grid, np.linalg.inv(moved.move)), _are_inside(new, old.grid, moved.move)
    found = []
    for group in range(count):
        first, second = np.flatnonzero(old_group == group), np.flatnonzero(new_group == group)
        volumes = float(old_ml[first].sum()), float(new_ml[second].sum())
        ids = tuple(old.ids[row] for row in first), tuple(new.ids[row] for row in second)
        is_seen = bool(old_seen[first].any() or new_seen[second].any())
        found.append((group, LesionChange(_kind(*volumes, is_seen=is_seen), *ids, *volumes)))
    found.sort(key=lambda each: (KINDS.index(each[1].kind), -max(each[1].before_ml, each[1].after_ml)))
    row_of = np.zeros(count + 1, np.int32)
    for row, (group, _) in enumerate(found, start=1):
        row_of[group + 1] = row
    old_labels = _renumbered(old, old_group, row_of)
    there = _moved_labels(old_labels, old.grid, new.grid, moved.move)
    here = _renumbered(new, new_group, row_of)
    images = {
        name: resample_oblique(each, old.grid, new.grid, moved.move, linear=True)[0]
        for name, each in old.images.items()
    }
    gone = [row for row, (_, change) in enumerate(found, start=1) if change.kind == "gone"]
    table = pd.DataFrame({"row": [str(row) for row in range(1, count + 1)]})
    return VisitComparison(
        lesions=tuple(change for _, change in found),
        now=replace(new, labels=np.where((here == 0) & np.isin(there, gone), there, here), table=table, maps={}),
        earlier=replace(new, image=image, images=images, labels=there, table=table, maps={}),
        rotation_degrees=moved.rotation_degrees,
        shift_mm=moved.shift_mm(new_scan.grid),
        correlation=_correlation(image, new.image, reorient(moved.covered, new_scan.grid, new.grid)),
    )


def _kind(before_ml: float, after_ml: float, *, is_seen: bool) -> Kind:
    if not is_seen:
        return "unseen"
    if before_ml == 0:
        return "new"
    if after_ml == 0:
        return "gone"
    if abs(after_ml - before_ml) < LEAST_CHANGE_ML:
        return "stable"
    return "grown" if after_ml >= FACTOR * before_ml else "shrunk" if before_ml >= FACTOR * after_ml else "stable"


def _groups(
    old: Case, new: Case, move: Float[np.ndarray, "4 4"]
) -> tuple[Int[np.ndarray, " old"], Int[np.ndarray, " new"]]:
    """Return the number of the group, from 0, of each lesion of the earlier and of the later visit."""
    olds, news = len(old.ids), len(new.ids)
    pairs = _touching(old, new, np.linalg.inv(move)) + [(a, b) for b, a in _touching(new, old, move)]
    rows = [first for first, _ in pairs]
    columns = [olds + second for _, second in pairs]
    links = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(olds + news, olds + news))
    group = connected_components(links, directed=False)[1] if olds + news else np.zeros(0, np.int32)
    return group[:olds], group[olds:]


def _touching(one: Case, other: Case, move: Float[np.ndarray, "4 4"]) -> list[tuple[int, int]]:
    """Return rows of lesions of ``one`` and ``other`` that touch; ``move`` maps millimetres of ``one`` to ``other``."""
    if not one.ids or not other.ids or one.labels is None or other.labels is None:
        return []
    spacing = other.grid.spacing_mm
    distance, nearest = ndimage.distance_transform_edt(other.labels == 0, sampling=spacing, return_indices=True)
    index = np.argwhere(one.labels)
    step = np.linalg.solve(other.grid.affine, move @ one.grid.affine)
    there = np.rint(index @ step[:3, :3].T + step[:3, 3]).astype(int)
    inside = ((there >= 0) & (there < other.labels.shape)).all(axis=1)
    index, there = tuple(index[inside].T), tuple(there[inside].T)
    close = distance[there] <= APART_MM + np.linalg.norm(spacing) / 2
    partner = other.labels[tuple(axis[there] for axis in nearest)]
    pairs = np.stack([one.labels[index][close] - 1, partner[close] - 1], axis=1)
    return [(int(first), int(second)) for first, second in np.unique(pairs, axis=0)]


def _are_inside(case: Case, other: Grid, move: Float[np.ndarray, "4 4"]) -> Bool[np.ndarray, " lesions"]:
    """Return whether the centre of each lesion is in another field of view, where ``move`` maps its millimetres."""
    points = [] if case.labels is None else lesion_points_mm(case.labels, case.grid)
    return np.array([_inside(point, other, move) is not None for point in points], dtype=bool)


def _inside(point_mm: list[float], grid: Grid, move: Float[np.ndarray, "4 4"]) -> tuple[int, ...] | None:
    """Return the voxel of a grid in which a moved position lies; None outside."""
    index = np.rint(np.linalg.solve(grid.affine, move @ [*point_mm, 1.0])[:3]).astype(int)
    return tuple(index.tolist()) if ((index >= 0) & (index < grid.shape)).all() else None


def _volumes_ml(case: Case) -> Float[np.ndarray, " lesions"]:
    if case.labels is None:
        return np.zeros(0)
    return np.bincount(case.labels.ravel(), minlength=len(case.ids) + 1)[1:] * case.grid.voxel_ml


def _renumbered(case: Case, group: Int[np.ndarray, " n"], row_of: Int[np.ndarray, " m"]) -> Int[np.ndarray, "x y z"]:
    if case.labels is None:
        return np.zeros(case.image.shape, np.int32)
    return np.concatenate([[0], row_of[group + 1]]).astype(np.int32)[case.labels]


def _moved_labels(
    labels: Int[np.ndarray, "x y z"], source: Grid, target: Grid, move: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "X Y Z"]:
    """Return labels on ``target``; a lesion that falls between its voxels keeps the nearest one inside."""
    moved, _ = resample_oblique(labels, source, target, move, linear=False)
    lost = np.setdiff1d(np.unique(labels), np.unique(moved))
    if len(lost):
        points = lesion_points_mm(labels, source)
        for row in lost:
            voxel = _inside(points[row - 1], target, np.linalg.inv(move))
            if voxel is not None:
                moved[voxel] = row
    return moved


def _correlation(
    one: Float[np.ndarray, "x y z"], other: Float[np.ndarray, "x y z"], covered: Bool[np.ndarray, "x y z"]
) -> float:
    """Return Pearson's correlation of two images over the covered voxels that are bright in either."""
    bright = covered & ((one > np.percentile(one, 60)) | (other > np.percentile(other, 60)))
    if bright.sum() < 2 or one[bright].std() == 0 or other[bright].std() == 0:
        return 0.0
    return float(np.corrcoef(one[bright], other[bright])[0, 1])
