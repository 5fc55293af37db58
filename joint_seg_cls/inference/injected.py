"""A trust grade of the segmentation of one scan: the share of simulated lesions, put into the scan, that is found.

The lesions are those of the simulator (:mod:`joint_seg_cls.phantom.lesion_contrast`): rough ellipsoids with soft edges,
the same in every scan. Their intensity is 1.15 to 1.6 times that of the scan's white matter. They are put into the
prepared image, in tissue of about the intensity of white matter, away from the edge of the brain and from segmented
lesions. Brain extraction and bias field are not repeated. A lesion is found if one of its voxels is segmented.

The grade follows from recovery by volume:

=====  ==========================================================
A      at least 80 % below 100 mm3, and at least 90 % from 100 mm3
B      at least 80 % from 100 mm3
C      at least 50 % from 100 mm3
D      less
=====  ==========================================================

The grade measures sensitivity in this scan, not false lesions. Injected lesions are easier to find than fainter real
ones.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from joint_seg_cls.errors import ScanError
from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.lesions import label_lesions, without_small
from joint_seg_cls.metrics import SIZES, OfSize, detected_by_size
from joint_seg_cls.phantom.lesion_contrast import paint_lesions
from joint_seg_cls.phantom.lesion_shapes import rough_ellipsoid
from joint_seg_cls.phantom.smooth_noise import smooth_noise
from joint_seg_cls.phantom.tissue import Tissue
from joint_seg_cls.preprocess import ModelInput, tissue_mode

#: Volumes of the lesions of one round in mm3; large ones are placed first.
_VOLUMES_MM3 = (1600.0, 1150.0, 800.0, 500.0, 330.0, 220.0, 140.0, 80.0, 55.0, 38.0, 26.0, 18.0)
#: Intensity of the faintest and the brightest lesion, relative to white matter.
_LEVELS = 1.15, 1.6
#: Range of smoothed intensities of places, relative to white matter.
_WHITE = 0.88, 1.12
#: Distances in mm: smoothing for places, from the edge of the brain, and between lesions.
_SMOOTH_MM, _EDGE_MM, _APART_MM = 1.5, 5.0, 5.0
#: Share of a lesion's voxels that must lie in such tissue, and places that are tried.
_LEAST_INSIDE, _TRIES = 0.75, 60
#: Fewest lesions of a class of volume for a grade.
_LEAST_LESIONS = 5
#: Quantiles of the brain that fix the scale of the prepared image.
_SCALE = 0.1, 0.9
_SMALL, _LARGE = SIZES[:2], SIZES[2:]


@final
@dataclass(frozen=True)
class Trust:
    """Recovery of injected lesions.

    Args:
        grade: A to D; None if too few lesions could be placed.
        recovery: injected and found lesions by class of volume (``metrics.SIZES``).
        reason: why there is no grade.
    """

    grade: str | None
    recovery: dict[str, OfSize]
    seconds: float
    reason: str | None = None

    def record(self) -> dict[str, Any]:
        """Return plain values; ``low`` and ``high`` are the 95 % Wilson interval of the share."""
        recovery = {
            size: {"injected": each.reference, "found": each.detected, **_share(each)}
            for size, each in self.recovery.items()
            if each.reference
        }
        return {"grade": self.grade, "recovery": recovery, "seconds": self.seconds, "reason": self.reason}


def trust(
    predict: Callable[[Float32[np.ndarray, "c x y z"]], Findings],
    prepared: ModelInput,
    found: Findings,
    *,
    least_lesion_mm3: float = 0.0,
    rounds: int = 2,
    seed: int = 0,
) -> Trust | None:
    """Return the trust grade of a scan's segmentation; None if the network does not segment.

    Args:
        predict: gives the findings for an image in model space.
        found: its findings in model space.
        least_lesion_mm3: smaller lesions do not count as segmented.
        rounds: predictions, each with up to 12 lesions.
        seed: of shapes and places.
    """
    if found.lesions is None:
        return None
    start = time.perf_counter()

    def ended(grade: str | None, recovery: dict[str, OfSize], reason: str | None) -> Trust:
        return Trust(grade, recovery, round(time.perf_counter() - start, 2), reason)

    try:
        scale, offset = _scale(prepared)
    except ScanError as error:
        return ended(None, {}, f"no intensity of white matter: expected {error.expected}, found {error.found}")
    signal = (prepared.image[0] - offset) / scale  # white matter at 1
    spacing_mm, voxel_mm3 = prepared.geometry.model.spacing_mm, prepared.geometry.model.voxel_ml * 1000
    places = _places(signal, prepared.brain_mask, found.lesions, spacing_mm)
    total = {size: OfSize(0, 0) for size in SIZES}
    for number in range(rounds):
        labels = _placed(places, spacing_mm, np.random.default_rng([seed, number]))
        if not labels.any():
            continue
        image = prepared.image.copy()
        painted = _painted(signal, labels, places, float(np.mean(spacing_mm)), seed + number)
        changed = painted != signal
        image[0][changed] = scale * painted[changed] + offset
        again = predict(image).lesions
        assert again is not None
        segmented = without_small(again, least_lesion_mm3 / voxel_mm3)
        for size, each in detected_by_size(segmented, labels > 0, voxel_mm3).items():
            total[size] = OfSize(total[size].reference + each.reference, total[size].detected + each.detected)
    small, large = _sum(total, _SMALL), _sum(total, _LARGE)
    if min(small.reference, large.reference) < _LEAST_LESIONS:
        placed = small.reference + large.reference
        return ended(None, total, f"only {placed} lesions could be placed in tissue like white matter")
    return ended(grade_of(small, large), total, None)


def grade_of(small: OfSize, large: OfSize) -> str:
    """Return the grade from lesions below 100 mm3 and lesions from 100 mm3."""
    of_small, of_large = (each.detected / each.reference for each in (small, large))
    if of_small >= 0.8 and of_large >= 0.9:
        return "A"
    return "B" if of_large >= 0.8 else "C" if of_large >= 0.5 else "D"


def _scale(prepared: ModelInput) -> tuple[float, float]:
    r"""Return a and b of :math:`I_{prepared} = a\,I/m + b`, m: intensity of white matter in the scan as read.

    They follow from two quantiles of the brain, as all normalisations are linear in between.
    """
    raw, own = prepared.scan.data[prepared.brain], prepared.image[0][prepared.brain_mask]
    mode = tissue_mode(raw)
    low, high = np.quantile(raw / mode, _SCALE)
    own_low, own_high = np.quantile(own, _SCALE)
    if high <= low or own_high <= own_low:
        raise ScanError(prepared.scan.path, expected="a brain of several intensities", found="one", remedy="check it")
    scale = float((own_high - own_low) / (high - low))
    return scale, float(own_low - scale * low)


def _places(
    signal: Float32[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    lesions: Bool[np.ndarray, "x y z"],
    spacing_mm: Sequence[float],
) -> Bool[np.ndarray, "x y z"]:
    """Return voxels for lesions: of the intensity of white matter, away from the edge of the brain and from lesions."""
    smooth = ndimage.gaussian_filter(signal, [_SMOOTH_MM / side for side in spacing_mm])
    deep = ndimage.distance_transform_edt(np.pad(brain, 1), spacing_mm)[1:-1, 1:-1, 1:-1] >= _EDGE_MM
    free = ~lesions.any() | (ndimage.distance_transform_edt(~lesions, spacing_mm) >= _APART_MM)
    return (smooth >= _WHITE[0]) & (smooth <= _WHITE[1]) & deep & free


def _placed(
    places: Bool[np.ndarray, "x y z"], spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> UInt8[np.ndarray, "x y z"]:
    """Return lesions at random places, numbered from 1; a lesion without a place is omitted."""
    labels, free = np.zeros(places.shape, dtype=np.uint8), places.copy()
    apart = [int(np.ceil(_APART_MM / side)) for side in spacing_mm]
    for number, volume in enumerate(_VOLUMES_MM3, start=1):
        shape = rough_ellipsoid(volume, spacing_mm, rng)
        candidates = np.flatnonzero(free)
        if not candidates.size:
            break
        for place in rng.choice(candidates, _TRIES):
            corner = np.array(np.unravel_index(place, places.shape)) - np.array(shape.shape) // 2
            if (corner < 0).any() or (corner + shape.shape > places.shape).any():
                continue
            box = tuple(slice(low, low + side) for low, side in zip(corner, shape.shape, strict=True))
            inside = _largest(shape & free[box])
            if inside.sum() >= _LEAST_INSIDE * shape.sum():
                labels[box][inside] = number
                wide = tuple(
                    slice(max(part.start - far, 0), part.stop + far) for part, far in zip(box, apart, strict=True)
                )
                free[wide] = False
                break
    return labels


def _largest(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return the largest component of a mask: a lesion is one piece."""
    labels, count = label_lesions(mask)
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1 if count else mask


def _painted(
    signal: Float32[np.ndarray, "x y z"],
    labels: UInt8[np.ndarray, "x y z"],
    white: Bool[np.ndarray, "x y z"],
    spacing_mm: float,
    seed: int,
) -> Float32[np.ndarray, "x y z"]:
    """Return the image with lesions and, in them, its own noise; white matter is at 1."""
    rng = np.random.default_rng(seed)
    levels = np.ones(256, dtype=np.float32)
    order = rng.permutation(len(_VOLUMES_MM3)) / (len(_VOLUMES_MM3) - 1)
    levels[1 : len(order) + 1] = _LEVELS[0] + (_LEVELS[1] - _LEVELS[0]) * order
    tissue = np.where(white, np.uint8(Tissue.WHITE), np.uint8(Tissue.AIR))
    texture = smooth_noise(signal.shape, 2 / spacing_mm, rng)
    painted = signal.copy()
    mask = paint_lesions(painted, labels, tissue, texture, 1.0, spacing_mm, rng, levels)
    noise = signal - ndimage.gaussian_filter(signal, 1.0)
    painted[mask] += noise[mask]
    return painted


def _sum(total: dict[str, OfSize], sizes: Sequence[str]) -> OfSize:
    return OfSize(sum(total[size].reference for size in sizes), sum(total[size].detected for size in sizes))


def _share(each: OfSize) -> dict[str, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(each.detected, each.reference, method="wilson")
    return {"share": each.detected / each.reference, "low": float(low), "high": float(high)}
