"""Bright structures on FLAIR that are not lesions: ventricular rims, caps, tracts, septum, plexus, flow, fat."""

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from joint_seg_cls.phantom.smooth_noise import smooth_noise
from joint_seg_cls.phantom.tissue import VENTRICLES, Tissue, is_brain

Volume = Float32[np.ndarray, "x y z"]
Labels = UInt8[np.ndarray, "x y z"]
_RIM_REACH_MM = 11.0
#: Eyeballs in the label maps of SynthSeg, number 506.
_EYES = Tissue.OUTSIDE + 6


def add_look_alikes(
    signal: Volume,
    tissue: Labels,
    texture: Volume,
    spacing_mm: float,
    extent: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Draw a random selection of these structures into ``signal``.

    Args:
        signal: changed in place.
        texture: texture of the tissue, mean 0 and standard deviation 1.
        extent: rear and front end of the lateral ventricles, in voxels along the second axis.
    """
    _around_ventricles(signal, tissue, texture, spacing_mm, extent, rng)
    if rng.random() < 0.5:
        _limbic_cortex(signal, tissue, spacing_mm, rng)
    if rng.random() < 0.35:
        _diffuse(signal, tissue, spacing_mm, rng)
    if rng.random() < 0.3:
        _flow(signal, tissue, spacing_mm, rng)
    if rng.random() < 0.25:
        _sinus(signal, tissue, texture, spacing_mm, rng)


def _around_ventricles(
    signal: Volume,
    tissue: Labels,
    texture: Volume,
    spacing_mm: float,
    extent: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    lateral = tissue == Tissue.LATERAL_VENTRICLE
    if lateral.sum() * spacing_mm**3 <= 150:
        return
    distance_mm = spacing_mm * ndimage.distance_transform_edt(~lateral).astype(np.float32)
    if rng.random() < 0.6:
        _radiation(signal, tissue, distance_mm, spacing_mm, extent, rng)
    if rng.random() < 0.85:
        _rim(signal, tissue, distance_mm, texture, spacing_mm, extent, rng)
    if rng.random() < 0.5:
        _septum(signal, tissue, lateral, spacing_mm, rng)
    if rng.random() < 0.5:
        _periventricular_band(signal, tissue, distance_mm, spacing_mm, rng)
    if rng.random() < 0.7:
        _choroid_plexus(signal, lateral, texture, spacing_mm, extent, rng)


def _radiation(
    signal: Volume,
    tissue: Labels,
    distance_mm: Volume,
    spacing_mm: float,
    extent: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Brighten the white matter around the posterior horns over centimetres, as in the optic radiation."""
    rear, front = extent
    along = (np.arange(tissue.shape[1]) - rear) / max(front - rear, 1)
    posterior = 1 / (1 + np.exp((along - rng.uniform(0.3, 0.6)) / 0.08))[None, :, None]
    shell = np.exp(-(((distance_mm - rng.uniform(4, 12)) / rng.uniform(4, 9)) ** 2))
    uneven = 1 + 0.4 * smooth_noise(tissue.shape, 12 / spacing_mm, rng)
    brighter = 1 + rng.uniform(0.02, 0.25) * posterior * shell * np.clip(uneven, 0, 1.6)
    white = tissue == Tissue.WHITE
    signal[white] *= brighter[white]


def _rim(
    signal: Volume,
    tissue: Labels,
    distance_mm: Volume,
    texture: Volume,
    spacing_mm: float,
    extent: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Brighten the white matter at the ventricle's wall, fading outwards, widest at the horns."""
    rear, front = extent
    along = np.abs((np.arange(tissue.shape[1]) - (rear + front) / 2) / max(front - rear, 1) * 2)[None, :, None]
    width_mm = rng.uniform(0.4, 2.4) + rng.uniform(0, 3.3) * np.clip(along - 0.5, 0, 1)
    width_mm = width_mm + 0.9 * np.maximum(0, smooth_noise(tissue.shape, 12 / spacing_mm, rng))
    fading = np.exp(-np.maximum(distance_mm - width_mm, 0) / rng.uniform(0.4, 1.6))
    bright = 1 + rng.uniform(0.03, 0.5) * fading * (1 + 0.05 * texture)
    near = (tissue == Tissue.WHITE) & (distance_mm < _RIM_REACH_MM)
    signal[near] = np.maximum(signal[near], bright[near])


def _periventricular_band(
    signal: Volume, tissue: Labels, distance_mm: Volume, spacing_mm: float, rng: np.random.Generator
) -> None:
    """Brighten stretches of the tissue along the ventricle, such as stria terminalis and caudate at its roof."""
    width_mm = rng.uniform(1.5, 5)
    stretch = smooth_noise(tissue.shape, rng.uniform(14, 30) / spacing_mm, rng) > rng.uniform(-0.3, 1.0)
    band = is_brain(tissue) & ~np.isin(tissue, VENTRICLES) & (distance_mm < width_mm) & stretch
    soft = np.clip(1.3 * ndimage.gaussian_filter(band.astype(np.float32), rng.uniform(0.5, 1.5) / spacing_mm), 0, 1)
    outside = tissue != Tissue.LATERAL_VENTRICLE
    signal[outside] *= (1 + rng.uniform(0.05, 0.35) * soft)[outside]


def _limbic_cortex(signal: Volume, tissue: Labels, spacing_mm: float, rng: np.random.Generator) -> None:
    """Brighten the cortex near the deep grey matter (insula, subcallosal cortex) and the claustrum, unevenly."""
    deep = (tissue == Tissue.DEEP_GREY) | (tissue == Tissue.PALLIDUM) | (tissue == Tissue.HIPPOCAMPUS)
    if not deep.any():
        return
    near = ndimage.distance_transform_edt(~deep) * spacing_mm < rng.uniform(6, 16)
    limbic = near & (tissue == Tissue.CORTEX)
    if rng.random() < 0.5:  # with the thin white matter inside
        limbic = ndimage.binary_closing(limbic, iterations=max(round(2 / spacing_mm), 1)) & is_brain(tissue)
    uneven = np.clip(1 + 0.5 * smooth_noise(tissue.shape, 12 / spacing_mm, rng), 0, 2)
    signal[limbic] *= (1 + rng.uniform(0.04, 0.25) * uneven)[limbic]


def _diffuse(signal: Volume, tissue: Labels, spacing_mm: float, rng: np.random.Generator) -> None:
    """Brighten parts of the white matter slightly, without edges: diffusely abnormal and late-myelinated areas."""
    length = rng.uniform(8, 20) / spacing_mm
    area = np.clip(smooth_noise(tissue.shape, length, rng) - rng.uniform(0.2, 1.2), 0, 1)
    soft = ndimage.gaussian_filter(area, rng.uniform(1, 3) / spacing_mm)
    white = tissue == Tissue.WHITE
    signal[white] *= (1 + rng.uniform(0.05, 0.25) * soft)[white]


def _septum(
    signal: Volume, tissue: Labels, lateral: Bool[np.ndarray, "x y z"], spacing_mm: float, rng: np.random.Generator
) -> None:
    """Brighten the thin tissue between the ventricles: septum and fornix."""
    surrounded = ndimage.gaussian_filter(lateral.astype(np.float32), 3.5 / spacing_mm) > rng.uniform(0.38, 0.5)
    thin = surrounded & is_brain(tissue) & ~np.isin(tissue, VENTRICLES)
    signal[thin] *= rng.uniform(1.0, 1.5)


def _choroid_plexus(
    signal: Volume,
    lateral: Bool[np.ndarray, "x y z"],
    texture: Volume,
    spacing_mm: float,
    extent: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Add tissue to the posterior half of the lateral ventricles, mostly at the glomus."""
    rear, front = extent
    place = (np.arange(lateral.shape[1]) - rear) / max(front - rear, 1)
    likely = np.exp(-(((place - rng.uniform(0.2, 0.4)) / 0.22) ** 2))[None, :, None]
    lumps = smooth_noise(lateral.shape, rng.uniform(4, 8) / spacing_mm, rng)
    plexus = lateral & (lumps + 1.6 * likely > rng.uniform(1.3, 2.2))
    soft = np.clip(1.3 * ndimage.gaussian_filter(plexus.astype(np.float32), 0.7 / spacing_mm), 0, 1)
    level = rng.uniform(0.5, 1.8) * (1 + 0.15 * texture)
    signal[lateral] += (soft * (level - signal))[lateral]


def _flow(signal: Volume, tissue: Labels, spacing_mm: float, rng: np.random.Generator) -> None:
    """Brighten moving fluid: foramina, third and fourth ventricle, cisterns."""
    fluid = (tissue >= Tissue.LATERAL_VENTRICLE) & (tissue <= Tissue.FLUID)
    moving = np.maximum(0, rng.uniform(0.2, 1.0) * smooth_noise(tissue.shape, rng.uniform(10, 20) / spacing_mm, rng))
    signal[fluid] += moving[fluid]


def _sinus(signal: Volume, tissue: Labels, texture: Volume, spacing_mm: float, rng: np.random.Generator) -> None:
    """Brighten veins in the fluid around the brain, at its outer border."""
    fluid = tissue == Tissue.FLUID
    outer = fluid & ndimage.binary_dilation(
        (tissue == Tissue.AIR) | (tissue >= Tissue.OUTSIDE), iterations=round(3 / spacing_mm)
    )
    vein = outer & (smooth_noise(tissue.shape, rng.uniform(7, 14) / spacing_mm, rng) > rng.uniform(0.5, 1.3))
    signal[vein] = (rng.uniform(0.7, 1.6) * (1 + 0.1 * texture))[vein]


def stripped(
    signal: Volume, tissue: Labels, texture: Volume, spacing_mm: float, rng: np.random.Generator
) -> Bool[np.ndarray, "x y z"]:
    """Return the result of a brain extraction, and draw remaining fat and vessels into ``signal``.

    The mask may be tight or loose, cut into the cortex or include the fluid around the brain, and may include lumps of
    tissue outside, such as the fat behind the eyes.
    """
    brain = is_brain(tissue)
    kept = brain.copy()
    luck = rng.random()
    if luck < 0.7:  # with the fluid of the sulci
        closed = ndimage.binary_closing(np.pad(brain, 4), iterations=3)[4:-4, 4:-4, 4:-4]
        kept |= (closed | ndimage.binary_dilation(brain, iterations=int(rng.integers(1, 3)))) & (
            tissue < Tissue.OUTSIDE
        )
    elif luck < 0.85:  # and all around
        kept |= tissue == Tissue.FLUID
    elif luck < 0.93:  # too tight in places
        border = brain & ~ndimage.binary_erosion(brain, iterations=int(rng.integers(1, 4)), border_value=1)
        kept &= ~(border & (smooth_noise(tissue.shape, 18 / spacing_mm, rng) > rng.uniform(0.2, 1.0)))
    outside = (tissue >= Tissue.OUTSIDE) | (tissue == Tissue.FLUID)
    depth_mm = ndimage.distance_transform_edt(~brain) * spacing_mm
    if rng.random() < 0.3:  # with meninges, skull and muscle over wide areas
        wide = smooth_noise(tissue.shape, rng.uniform(25, 60) / spacing_mm, rng) > rng.uniform(-0.5, 1.0)
        kept |= outside & wide & (depth_mm < rng.uniform(2, 10))
    if rng.random() < 0.45 and outside.any():
        near = depth_mm < rng.uniform(3, 14)
        lumps = smooth_noise(tissue.shape, rng.uniform(9, 18) / spacing_mm, rng) > rng.uniform(0.4, 1.4)
        left = outside & near & lumps & ~kept
        signal[left] = (rng.uniform(0.6, 2.6) * (1 + 0.12 * texture))[left]
        kept |= left
    eyes = tissue == _EYES
    if rng.random() < 0.4 and eyes.any():
        kept |= _orbits(signal, tissue, eyes, texture, spacing_mm, rng)
    return kept


def _orbits(
    signal: Volume,
    tissue: Labels,
    eyes: Bool[np.ndarray, "x y z"],
    texture: Volume,
    spacing_mm: float,
    rng: np.random.Generator,
) -> Bool[np.ndarray, "x y z"]:
    """Draw the tissue around the eyes, bright fat around darker muscles, into ``signal``; return what stays of it."""
    depth_mm = ndimage.distance_transform_edt(~eyes) * spacing_mm
    lumps = smooth_noise(tissue.shape, 7 / spacing_mm, rng)
    orbit = (tissue >= Tissue.OUTSIDE) & (depth_mm < rng.uniform(8, 30))
    fat, dark = rng.uniform(1.0, 2.6), rng.uniform(0.3, 1.0)
    level = np.where(eyes | (lumps > 0.9), dark, fat) * (1 + 0.1 * texture)
    signal[orbit] = level[orbit]
    return orbit & ~(eyes & (rng.random() < 0.5))
