"""Random FLAIR appearance of a scene: each call draws a new image."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.phantom.lesion_contrast import paint_lesions
from joint_seg_cls.phantom.look_alikes import add_look_alikes, stripped
from joint_seg_cls.phantom.scan_effects import blurred_or_sharpened, draw_slices, moved, received, sliced
from joint_seg_cls.phantom.scene import Scene
from joint_seg_cls.phantom.tissue import Tissue
from joint_seg_cls.phantom.tissue_contrast import draw_tissue_contrast, paint_tissue

#: Fraction of images without lesions, and of images with all lesions of their scene.
_LESION_FREE, _ALL_LESIONS = 0.08, 0.45
_LEAST_WHITE = 300
#: Minimum contrast of a lesion of the reference, and of a large one; edge of the cube of white matter around that it is
#: compared with.
_LEAST_CONTRAST, _LEAST_CONTRAST_LARGE, _NEIGHBOURHOOD_MM = 0.17, 0.1, 18.0
_LARGE_MM3 = 1000.0


@final
@dataclass(frozen=True, eq=False)
class Signal:
    """Signal of a scene before the scan, relative to white matter = 1.

    Attributes:
        values: intensity, 0 in air.
        brain: result of a brain extraction.
        lesions: the reference.
    """

    values: Float32[np.ndarray, "x y z"]
    brain: Bool[np.ndarray, "x y z"]
    lesions: Bool[np.ndarray, "x y z"]


@final
@dataclass(frozen=True, eq=False)
class Appearance:
    """An image of a scene, on the scene's voxels.

    Attributes:
        image: intensity, 0 outside ``brain``.
        brain: result of a brain extraction.
        lesions: the reference.
        white: intensity of normal white matter in ``image``.
    """

    image: Float32[np.ndarray, "x y z"]
    brain: Bool[np.ndarray, "x y z"]
    lesions: Bool[np.ndarray, "x y z"]
    white: float


def ventricular_extent(scene: Scene) -> tuple[float, float]:
    """Return the rear and the front end of the lateral ventricles along the second axis."""
    filled = np.flatnonzero((scene.tissue == Tissue.LATERAL_VENTRICLE).any(axis=(0, 2)))
    return (float(filled[0]), float(filled[-1])) if filled.size else (0.0, float(scene.tissue.shape[1]))


def draw_signal(
    scene: Scene, extent: tuple[float, float], rng: np.random.Generator, *, all_lesions: bool = False
) -> Signal:
    """Draw tissue contrasts, lesions and structures similar to lesions.

    Args:
        extent: :func:`ventricular_extent` of the whole scene, in voxels of this scene, which may be cropped.
        all_lesions: show all lesions; otherwise a random subset, or none.
    """
    tissue, spacing_mm = scene.tissue, scene.spacing_mm
    shown = _shown(rng)
    lesions = scene.lesions if all_lesions else np.where(shown[scene.lesions], scene.lesions, 0).astype(np.uint8)
    contrast = draw_tissue_contrast(rng)
    values, texture = paint_tissue(tissue, contrast, spacing_mm, rng)
    add_look_alikes(values, tissue, texture, spacing_mm, extent, rng)
    mask = paint_lesions(values, lesions, tissue, texture, contrast.level(Tissue.CORTEX), spacing_mm, rng)
    brain = stripped(values, tissue, texture, spacing_mm, rng)
    return Signal(values.astype(np.float32), brain, mask)


def draw_appearance(scene: Scene, extent: tuple[float, float], rng: np.random.Generator) -> Appearance:
    """Draw a skull-stripped image of a scene for a random scanner, on the scene's voxels."""
    signal = draw_signal(scene, extent, rng)
    image, lesions = np.where(signal.brain, signal.values, 0), signal.lesions
    if (slices := draw_slices(rng)) is not None:
        image, lesions = sliced(image, lesions, slices, scene.spacing_mm, rng)
    image = received(blurred_or_sharpened(moved(image, rng), scene.spacing_mm, rng), rng)
    image = np.where(signal.brain, image, 0).astype(np.float32)
    normal = (scene.tissue == Tissue.WHITE) & ~lesions & signal.brain
    visible = visible_lesions(image, lesions & signal.brain, normal, scene.spacing_mm)
    return Appearance(image, signal.brain, visible, _white(image, normal, signal.brain))


def _shown(rng: np.random.Generator) -> Bool[np.ndarray, "256"]:
    """Return the lesions that an image shows, by number."""
    luck, share = rng.random(256), rng.uniform(0.1, 1)
    if (fate := rng.random()) < _LESION_FREE:
        return np.zeros(256, dtype=bool)
    return np.ones(256, dtype=bool) if fate < _LESION_FREE + _ALL_LESIONS else luck < share


def visible_lesions(
    image: Float32[np.ndarray, "x y z"],
    lesions: Bool[np.ndarray, "x y z"],
    normal: Bool[np.ndarray, "x y z"],
    spacing_mm: float,
) -> Bool[np.ndarray, "x y z"]:
    """Return the lesions that a rater would see by the contrast of their mean to the normal white matter around.

    The minimum is 0.17, and 0.1 for lesions of more than 1 mL.

    Slices, blur and the receive field hide some. A network that has to segment what cannot be seen learns to segment
    white matter where lesions are frequent.
    """
    numbers, count = label_lesions(lesions)
    if not count or not normal.any():
        return lesions
    side = 2 * round(_NEIGHBOURHOOD_MM / 2 / spacing_mm) + 1
    total = ndimage.uniform_filter(np.where(normal, image, 0), side)
    share = ndimage.uniform_filter(normal.astype(np.float32), side)
    around = np.where(share > 1e-3, total / np.maximum(share, 1e-3), np.median(image[normal]))
    contrast = ndimage.mean(image / np.maximum(around, 1e-3), numbers, np.arange(count + 1))
    large = np.bincount(numbers.ravel(), minlength=count + 1) * spacing_mm**3 >= _LARGE_MM3
    visible = np.nan_to_num(contrast) >= 1 + np.where(large, _LEAST_CONTRAST_LARGE, _LEAST_CONTRAST)
    return visible[numbers] & lesions


def _white(
    image: Float32[np.ndarray, "x y z"], normal: Bool[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
) -> float:
    white = normal if normal.sum() >= _LEAST_WHITE else brain
    return max(float(np.median(image[white])), 1e-3) if white.any() else 1.0
