"""Intensity of each tissue on a randomised FLAIR, relative to white matter = 1."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

from joint_seg_cls.phantom.smooth_noise import noise_on_nodes
from joint_seg_cls.phantom.tissue import OUTSIDE_KINDS, Tissue

#: Range of the mean intensity of each tissue, and of all brain tissue in a contrast other than FLAIR.
_MEAN = {
    Tissue.WHITE: (1.0, 1.0),
    Tissue.CORTEX: (1.02, 1.40),
    Tissue.DEEP_GREY: (0.95, 1.27),
    Tissue.PALLIDUM: (0.72, 1.05),
    Tissue.HIPPOCAMPUS: (1.05, 1.42),
    Tissue.BRAIN_STEM: (0.85, 1.22),
    Tissue.CEREBELLAR_WHITE: (0.90, 1.15),
    Tissue.CEREBELLAR_CORTEX: (1.00, 1.35),
    Tissue.CHOROID_PLEXUS: (0.50, 1.60),
}
_WILD, _WILD_SHARE = (0.7, 1.5), 0.12
#: Intensity of fluid in the lateral ventricles, and variation in the other spaces.
_FLUID, _FLUID_SD = (0.06, 0.62), 0.06
#: Additional intensity of fluid around the brain, because sulci contain vessels and membranes.
_SULCI = (0.0, 0.35)
_OUTSIDE_DARK, _OUTSIDE_BRIGHT = (0.0, 0.3), (0.3, 1.7)
_SD = (0.01, 0.06)
_ROUGH = {Tissue.CHOROID_PLEXUS: 0.2, Tissue.FLUID: 0.06}
_VALUES = Tissue.OUTSIDE + OUTSIDE_KINDS


@final
@dataclass(frozen=True, eq=False)
class TissueContrast:
    """Mean and standard deviation of each tissue's intensity."""

    mean: Float32[np.ndarray, " n"]
    sd: Float32[np.ndarray, " n"]

    def level(self, tissue: Tissue) -> float:
        """Return the mean of a tissue."""
        return float(self.mean[tissue])


def draw_tissue_contrast(rng: np.random.Generator) -> TissueContrast:
    """Draw the contrast of one scan: mostly FLAIR-like, sometimes arbitrary."""
    mean = np.zeros(_VALUES, dtype=np.float32)
    sd = np.full(_VALUES, 0, dtype=np.float32)
    for tissue, (low, high) in _MEAN.items():
        mean[tissue] = rng.uniform(low, high)
        sd[tissue] = rng.uniform(*_SD)
    if rng.random() < _WILD_SHARE:
        mean[Tissue.CORTEX : Tissue.CEREBELLAR_CORTEX + 1] = rng.uniform(*_WILD, 7)
    fluid = rng.uniform(*_FLUID)
    for tissue in (Tissue.LATERAL_VENTRICLE, Tissue.THIRD_VENTRICLE, Tissue.FOURTH_VENTRICLE, Tissue.FLUID):
        mean[tissue] = max(fluid + rng.normal(0, _FLUID_SD), 0.02)
        sd[tissue] = rng.uniform(*_SD)
    mean[Tissue.FLUID] += rng.uniform(*_SULCI)
    bright = rng.random(OUTSIDE_KINDS) < 0.5
    outside = np.where(bright, rng.uniform(*_OUTSIDE_BRIGHT, OUTSIDE_KINDS), rng.uniform(*_OUTSIDE_DARK, OUTSIDE_KINDS))
    mean[Tissue.OUTSIDE :] = outside
    sd[Tissue.OUTSIDE :] = 0.15 * outside
    for tissue, value in _ROUGH.items():
        sd[tissue] = value
    return TissueContrast(mean, sd)


def paint_tissue(
    tissue: UInt8[np.ndarray, "x y z"], contrast: TissueContrast, spacing_mm: float, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "x y z"], Float32[np.ndarray, "x y z"]]:
    """Return the signal of all tissue, and its texture (mean 0, standard deviation 1)."""
    texture = rng.standard_normal(tissue.shape, dtype=np.float32)
    if rng.random() < 0.7:
        texture = ndimage.gaussian_filter(texture, rng.uniform(0.6, 1.8) / spacing_mm)
        texture /= texture.std() + 1e-6
    signal = contrast.mean[tissue] + contrast.sd[tissue] * texture
    signal *= np.exp(rng.uniform(0, 0.10) * noise_on_nodes(tissue.shape, _nodes(rng, 4, 12), rng))
    cortex = tissue == Tissue.CORTEX
    uneven = np.exp(rng.uniform(0, 0.12) * noise_on_nodes(tissue.shape, (10, 10, 10), rng))
    signal[cortex] *= uneven[cortex]
    return signal, texture


def _nodes(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    x, y, z = (int(n) for n in rng.integers(low, high, 3))
    return x, y, z
