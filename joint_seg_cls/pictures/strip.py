"""A few slices of one scan side by side with outlined masks, for pages of many scans."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Num
from matplotlib.image import imsave

from joint_seg_cls.pictures.overlay import grey, with_outline
from joint_seg_cls.pictures.scaling import square_pixels
from joint_seg_cls.pictures.slices import Slice, most_lesion, spread, window

#: Height of a strip and width of the gap between two slices, in pixels.
_HEIGHT, _GAP = 200, 4
#: Sky blue of Okabe and Ito.
BRAIN_COLOUR = (0.34, 0.71, 0.91)


def strip_png(
    image: Num[np.ndarray, "x y z"],
    masks: Sequence[tuple[Bool[np.ndarray, "x y z"], tuple[float, float, float]]],
    *,
    spacing_mm: tuple[float, float, float],
    slices: int = 3,
) -> bytes:
    """Return axial slices as one PNG, those with most of the last mask, each mask outlined in its colour.

    Args:
        image: the scan, axes RAS+; the left of the head is at the left of each slice.
        masks: masks on the same grid, and their colours.
    """
    levels = window(image)
    shape: tuple[int, int, int] = image.shape
    chosen = most_lesion(masks[-1][0], slices) if masks and masks[-1][0].any() else spread(shape, slices)
    panels = [_panel(cut, image, masks, levels, spacing_mm) for cut in chosen]
    line = np.zeros((_HEIGHT, _GAP, 3))
    row = np.concatenate([part for panel in panels for part in (panel, line)][:-1], axis=1)
    file = io.BytesIO()
    imsave(file, np.ascontiguousarray(np.clip(row, 0, 1)), origin="lower", format="png")
    return file.getvalue()


def _panel(
    cut: Slice,
    image: Num[np.ndarray, "x y z"],
    masks: Sequence[tuple[Bool[np.ndarray, "x y z"], tuple[float, float, float]]],
    levels: tuple[float, float],
    spacing_mm: tuple[float, float, float],
) -> Num[np.ndarray, "row column rgb"]:
    picture = square_pixels(grey(cut.of(image), levels), cut.aspect(spacing_mm), _HEIGHT, order=1)
    for mask, colour in masks:
        drawn = square_pixels(cut.of(mask), cut.aspect(spacing_mm), _HEIGHT, order=0).astype(bool)
        picture = with_outline(picture, drawn, colour)
    return picture
