"""Effects of scanner and reconstruction: slices, motion, blur, sharpening, field, noise, tone curves, clipping."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from joint_seg_cls.phantom.resizing import interpolated, stretched
from joint_seg_cls.phantom.smooth_noise import noise_on_nodes

Volume = Float32[np.ndarray, "x y z"]
#: Fraction of scans with thick slices; thickness and gap.
_SLICED, _SLICE_MM, _GAP = 0.68, (2.0, 8.0), (0.0, 0.25)
#: Minimum lesion fraction of a lesion voxel in a thick slice.
FILLED = 0.45


@final
@dataclass(frozen=True)
class Slices:
    """The slices of a scan: array axis across them, distance of their centres, and fraction of the gap."""

    axis: int
    distance_mm: float
    gap: float


def draw_slices(rng: np.random.Generator) -> Slices | None:
    """Draw thick slices, mostly axial; None for isotropic voxels."""
    is_sliced = rng.random() < _SLICED
    axis, distance = int(rng.choice(3, p=(0.15, 0.15, 0.7))), float(np.exp(rng.uniform(*np.log(_SLICE_MM))))
    gap = float(rng.uniform(*_GAP)) if rng.random() < 0.3 else 0.0
    return Slices(axis, distance, gap) if is_sliced else None


def sliced(
    signal: Volume, mask: Bool[np.ndarray, "x y z"], slices: Slices, spacing_mm: float, rng: np.random.Generator
) -> tuple[Volume, Bool[np.ndarray, "x y z"]]:
    """Return image and reference of thick slices, interpolated back to the original voxels."""
    thick = averaged(signal, slices, spacing_mm)
    filled = averaged(mask.astype(np.float32), slices, spacing_mm)
    count = signal.shape[slices.axis]
    nearest = rng.random() < 0.25
    reference = stretched((filled >= FILLED).astype(np.float32), slices.axis, count, nearest=True) > 0.5
    return stretched(thick, slices.axis, count, nearest=nearest), reference


def averaged(volume: Volume, slices: Slices, spacing_mm: float) -> Float32[np.ndarray, "X Y Z"]:
    """Return one voxel per slice along the slice axis, averaged over its thickness without the gap."""
    size = volume.shape[slices.axis]
    number = max(2, round(size * spacing_mm / slices.distance_mm))
    step = size / number
    integral = np.concatenate(
        [np.zeros_like(np.take(volume, [0], slices.axis)), np.cumsum(volume, slices.axis, dtype=np.float32)],
        slices.axis,
    )
    low = (np.arange(number) + slices.gap / 2) * step
    high = (np.arange(number) + 1 - slices.gap / 2) * step
    total = interpolated(integral, high, slices.axis) - interpolated(integral, low, slices.axis)
    return (total / (step * (1 - slices.gap))).astype(np.float32)


def moved(signal: Volume, rng: np.random.Generator) -> Volume:
    """Return the image with a faint ghost or ringing along one axis, as from motion, or unchanged."""
    if rng.random() >= 0.12:
        return signal
    axis, shift = int(rng.integers(2)), int(rng.integers(4, 24))
    strength = rng.uniform(0.02, 0.10)
    ghost = (
        np.roll(signal, shift, axis) - np.roll(signal, -shift, axis)
        if rng.random() < 0.5
        else np.roll(signal, shift, axis)
    )
    return signal + np.float32(strength) * ghost


def blurred_or_sharpened(signal: Volume, spacing_mm: float, rng: np.random.Generator) -> Volume:
    """Return the image with acquisition blur and sometimes with sharpening by the reconstruction."""
    blur, wide, strength = (
        rng.uniform(0.45, 1.3) / spacing_mm,
        rng.uniform(1.0, 2.5) / spacing_mm,
        rng.uniform(0.2, 1.0),
    )
    signal = ndimage.gaussian_filter(signal, blur)
    if rng.random() < 0.25:
        signal = signal + np.float32(strength) * (signal - ndimage.gaussian_filter(signal, wide))
    return np.maximum(signal, 0)


def received(signal: Volume, rng: np.random.Generator) -> Volume:
    """Return the image with receive field, noise, a monotone tone curve and clipping of the maximum."""
    x, y, z = (int(n) for n in rng.integers(2, 6, 3))
    signal = signal * np.exp(rng.uniform(0, 0.3) * noise_on_nodes(signal.shape, (x, y, z), rng))
    sd = np.float32(rng.uniform(0, 0.08))
    if rng.random() < 0.85:
        noise = rng.standard_normal((2, *signal.shape), dtype=np.float32)
        signal = np.hypot(signal + sd * noise[0], sd * noise[1])
    signal = np.power(np.maximum(signal, 0), np.float32(np.exp(rng.normal(0, 0.17))))
    top = rng.uniform(1.4, 3.0)
    return np.minimum(signal, np.float32(top)) if rng.random() < 0.15 else signal
