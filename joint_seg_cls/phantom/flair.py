"""FLAIR intensities of tissues and lesions, relative to white matter = 1."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import ndimage

from joint_seg_cls.phantom.parameters import parameters, stream
from joint_seg_cls.phantom.raster import DrawnLesions
from joint_seg_cls.phantom.resizing import interpolated
from joint_seg_cls.scan.grid import bounding_box
from joint_seg_cls.scan.template import load_template

#: Relative contrast of small lesions, which are fainter than large ones of the same scan.
_FAINTER_BELOW_MM3, _FAINTER = 100.0, 0.75
#: Lesions with less than this fraction of their contrast are not brightened.
_LEAST_MEDIAN = 0.25
_TEXTURE_MM = 2.5
#: The template averages many brains, which fills narrow sulci and blurs the border of white and grey matter; these
#: factors on the fraction of fluid, and of white matter in tissue, partly undo this.
_SULCI, _SHARPNESS = 1.5, 1.4
_BIAS_ORDER = 3


@final
@dataclass(frozen=True)
class Contrast:
    """Contrast of one person's scans on one scanner; independent of the disease.

    Attributes:
        grey, fluid: intensity of grey matter and cerebrospinal fluid relative to white matter.
        lesion: median intensity of lesion voxels in a scan.
        texture_sd: standard deviation of tissue texture.
        noise_sd: noise of both channels of the magnitude image.
        bias: 99th over 1st percentile of the receive field in the brain.
    """

    grey: float
    fluid: float
    lesion: float
    texture_sd: float
    noise_sd: float
    bias: float


def draw_contrast(seed: int, subject: int) -> Contrast:
    """Draw the contrast of one subject's scans."""
    rng, table = stream(seed, subject, "contrast"), parameters()["flair"]
    keys = ("grey", "fluid", "lesion_median", "texture_sd", "noise_sd", "bias_p99_over_p1")
    return Contrast(*(float(rng.uniform(*table[key])) for key in keys))


def compose(
    contrast: Contrast, drawn: DrawnLesions, seed: int, subject: int
) -> tuple[Float32[np.ndarray, "x y z"], Float32[np.ndarray, "x y z"]]:
    """Return signal and lesion contrast on the template's grid, without receive field and noise.

    In the signal, lesions look like white matter. The contrast, which `brighten` scales and adds, is about 1 in
    lesions and 0 elsewhere: it varies between lesions, edges are soft, and clouds are softer and uneven.
    """
    spacing = round(drawn.grid.spacing_mm[0])
    white, grey, fluid = _tissues(2 if spacing == 2 else 1)
    signal = white + contrast.grey * grey
    signal *= 1 + contrast.texture_sd * _texture(drawn.grid.shape, spacing, stream(seed, subject, "contrast", 1))
    signal += contrast.fluid * fluid
    added = np.zeros_like(signal)
    if drawn.mask.any():
        _blend_lesions(signal, added, drawn, stream(seed, subject, "brightness"))
    return signal, added


def brighten(
    signal: Float32[np.ndarray, " n"],
    added: Float32[np.ndarray, " n"],
    lesion: Bool[np.ndarray, " n"],
    contrast: Contrast,
) -> Float32[np.ndarray, " n"]:
    """Return a scan's signal with its lesions, with the subject's median lesion intensity relative to white matter.

    Blurred edges and thick slices reduce the contrast of small lesions; without this scaling, patients with only
    small lesions would have fainter ones.
    """
    if not lesion.any():
        return signal
    scale = (contrast.lesion - 1) / max(float(np.median(added[lesion])), _LEAST_MEDIAN)
    return signal + np.minimum(scale * added, parameters()["flair"]["brightest_lesion"] - 1)


def _blend_lesions(signal: np.ndarray, contrast: np.ndarray, drawn: DrawnLesions, rng: np.random.Generator) -> None:
    """Replace lesions by white matter in ``signal`` and write their relative contrast to ``contrast``."""
    table = parameters()["flair"]
    luck = rng.standard_normal(1 << 12)[: int(drawn.labels.max()) + 1]
    cloud_sigma_mm = float(rng.uniform(*table["cloud_edge_sigma_mm"]))
    box = bounding_box(drawn.mask, 8)
    labels, here = drawn.labels[box], signal[box]
    sizes_mm3 = np.bincount(labels.ravel(), minlength=luck.size) * drawn.grid.voxel_ml * 1000
    fainter = np.where(sizes_mm3 < _FAINTER_BELOW_MM3, _FAINTER, 1.0)
    bright = fainter * np.exp(table["lesion_ln_sd"] * luck)
    uneven = 1 + 0.12 * _texture(labels.shape, round(drawn.grid.spacing_mm[0]), rng)
    is_cloud = np.isin(labels, drawn.clouds)
    for part, sigma_mm, depth in (
        ((labels > 0) & ~is_cloud, table["edge_sigma_mm"], 1.0),
        (is_cloud, cloud_sigma_mm, 2.0),
    ):
        if part.any():
            sigma = sigma_mm / drawn.grid.spacing_mm[0]
            share = ndimage.gaussian_filter(part.astype(np.float32), sigma)
            own = np.where(part, bright[labels] * (1 + depth * (uneven - 1)), 0).astype(np.float32)
            here *= 1 - share
            here += share
            contrast[box] += ndimage.gaussian_filter(own, sigma)


@lru_cache(maxsize=2)
def _tissues(spacing_mm: Literal[1, 2]) -> tuple[Float32[np.ndarray, "x y z"], ...]:
    """Return fractions of white matter, grey matter and fluid, which sum to 1; outside the brain all is fluid."""
    template = load_template(spacing_mm)
    tissue = template.white + template.grey
    fluid = np.where(template.brain, _step((1 - tissue) * _SULCI - 0.5), 1).astype(np.float32)
    white_of_tissue = _step((template.white / np.maximum(tissue, 1e-3) - 0.5) * _SHARPNESS)
    white = ((1 - fluid) * white_of_tissue).astype(np.float32)
    return white, 1 - fluid - white, fluid


def _step(centred: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    """Return a smooth step from 0 at -1/2 to 1 at +1/2."""
    ramp = np.clip(centred + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _texture(shape: tuple[int, ...], spacing_mm: int, rng: np.random.Generator) -> Float32[np.ndarray, "x y z"]:
    """Return smooth noise of mean 0 and standard deviation 1."""
    coarse = rng.standard_normal([int(np.ceil(n * spacing_mm / _TEXTURE_MM)) + 1 for n in shape], dtype=np.float32)
    coarse = ndimage.gaussian_filter(coarse, 0.7)
    for axis, n in enumerate(shape):
        coarse = interpolated(coarse, np.arange(n) * spacing_mm / _TEXTURE_MM, axis)
    return (coarse - coarse.mean()) / coarse.std()


def bias_field(
    positions: Float[np.ndarray, "n 3"],
    ratio: float,
    rng: np.random.Generator,
    over: Float[np.ndarray, "m 3"] | None = None,
) -> Float32[np.ndarray, " n"]:
    """Return a smooth receive field at ``positions`` (-1 to 1).

    At the positions ``over`` (default: ``positions``), its median is 1 and its 99th over 1st percentile is ``ratio``.
    """
    powers = [(i, j, k) for i in range(4) for j in range(4) for k in range(4) if 0 < i + j + k <= _BIAS_ORDER]
    weights = rng.standard_normal(len(powers))

    def polynomial(where: Float[np.ndarray, "k 3"]) -> Float32[np.ndarray, " k"]:
        x, y, z = where.astype(np.float32).T
        field = np.zeros(len(where), dtype=np.float32)
        for (i, j, k), weight in zip(powers, weights, strict=True):
            field += np.float32(weight / (i + j + k)) * x**i * y**j * z**k
        return field

    field = polynomial(positions)
    known = field if over is None else polynomial(over)
    low, middle, high = (float(value) for value in np.percentile(known, (1, 50, 99)))
    return np.exp((field - middle) * float(np.log(ratio) / (high - low)))


def magnitude(
    signal: Float32[np.ndarray, " n"], noise_sd: float, rng: np.random.Generator
) -> Float32[np.ndarray, " n"]:
    """Return Rician magnitudes: the norm of (signal + noise, noise)."""
    noise = np.float32(noise_sd) * rng.standard_normal((2, signal.size), dtype=np.float32)
    return np.hypot(signal + noise[0], noise[1])


def within(mask: Bool[np.ndarray, "x y z"], values: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, "x y z"]:
    """Return a volume with ``values`` inside ``mask`` and 0 elsewhere."""
    volume = np.zeros(mask.shape, dtype=np.float32)
    volume[mask] = values
    return volume
