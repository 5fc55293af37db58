"""Intensity of lesions on a randomised FLAIR: different for each lesion, from barely visible to very bright."""

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from joint_seg_cls.phantom.smooth_noise import smooth_noise
from joint_seg_cls.phantom.tissue import Tissue

#: Mean intensity of a scan's lesions relative to white matter; some scans have only faint ones. In eight real scans the
#: means are 1.29 to 1.65, and 0.32 to 0.59 above the tissue around.
_BASE, _FAINT_BASE, _FAINT_SHARE = (1.25, 1.95), (1.15, 1.40), 0.15
_BETWEEN_LESIONS_SD = (0.03, 0.16)
_LEAST, _MOST = 1.08, 2.6
#: Minimum intensity of lesions relative to the cortex in most scans.
_OVER_CORTEX, _OVER_CORTEX_SHARE = (1.0, 1.25), 0.8
#: Minimum volume of a confluent lesion, which may be fainter than others.
_CONFLUENT_MM3 = 1500.0


def paint_lesions(
    signal: Float32[np.ndarray, "x y z"],
    lesions: UInt8[np.ndarray, "x y z"],
    tissue: UInt8[np.ndarray, "x y z"],
    texture: Float32[np.ndarray, "x y z"],
    cortex: float,
    spacing_mm: float,
    rng: np.random.Generator,
    levels: Float32[np.ndarray, "256"] | None = None,
) -> Bool[np.ndarray, "x y z"]:
    """Draw lesions into ``signal`` (changed in place), given the intensity of the cortex; return their mask.

    Intensities of the lesions by number are ``levels``, or random.
    """
    mask = lesions > 0
    levels = _levels(lesions, cortex, spacing_mm, rng) if levels is None else levels
    soft_mm = rng.uniform(0.35, 1.1)
    unevenness = rng.uniform(0, 0.10), rng.uniform(0, 0.05)
    halo, halo_mm, has_halo = rng.uniform(0, 0.25), rng.uniform(2.2, 4.5), rng.random() < 0.5
    has_cavities, cavity = rng.random() < 0.15, rng.uniform(0.3, 0.9)
    sharpness = rng.uniform(1.1, 1.6)
    fades, edge, edge_mm = rng.random() < 0.4, rng.uniform(0.4, 0.9), rng.uniform(2, 6)
    if not mask.any():
        return mask
    full = mask.astype(np.float32)
    share = ndimage.gaussian_filter(full, soft_mm / spacing_mm)
    level = ndimage.gaussian_filter(levels[lesions] * full, soft_mm / spacing_mm) / np.maximum(share, 1e-3)
    level *= 1 + unevenness[0] * smooth_noise(mask.shape, 6 / spacing_mm, rng) + unevenness[1] * texture
    if fades:  # confluent lesions, whose masks include faint edges
        large = _large(lesions, spacing_mm)[lesions] & mask
        depth = np.minimum(spacing_mm * ndimage.distance_transform_edt(mask) / edge_mm, 1)
        level[large] = (1 + (level - 1) * (edge + (1 - edge) * depth))[large]
    if has_cavities:
        level[ndimage.binary_erosion(mask, iterations=max(round(3 / spacing_mm), 1))] *= cavity
    if has_halo:  # dirty white matter around
        signal += halo * ndimage.gaussian_filter(full, halo_mm / spacing_mm) * (tissue == Tissue.WHITE)
    share = np.clip(share * sharpness, 0, 1)
    signal += share * (level - signal)
    return mask


def _levels(
    lesions: UInt8[np.ndarray, "x y z"], cortex: float, spacing_mm: float, rng: np.random.Generator
) -> Float32[np.ndarray, "256"]:
    """Return the intensity of each lesion by number."""
    base = rng.uniform(*(_FAINT_BASE if rng.random() < _FAINT_SHARE else _BASE))
    if rng.random() < _OVER_CORTEX_SHARE:
        base = max(base, cortex * rng.uniform(*_OVER_CORTEX))
    levels = base + rng.uniform(*_BETWEEN_LESIONS_SD) * rng.standard_normal(256)
    fainter = rng.uniform(0.6, 1.0) if rng.random() < 0.3 else 1.0
    large = _large(lesions, spacing_mm)
    levels[large] = 1 + (levels[large] - 1) * fainter
    return np.clip(levels, _LEAST, _MOST).astype(np.float32)


def _large(lesions: UInt8[np.ndarray, "x y z"], spacing_mm: float) -> Bool[np.ndarray, "256"]:
    """Return which lesions, by number, are confluent."""
    return np.bincount(lesions.ravel(), minlength=256) * spacing_mm**3 >= _CONFLUENT_MM3
