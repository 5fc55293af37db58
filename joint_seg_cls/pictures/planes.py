"""Key slices of one scan in three planes, drawn into a figure."""

from typing import get_args

import numpy as np
from jaxtyping import Bool, Num
from matplotlib.figure import Figure

from joint_seg_cls.pictures.overlay import PREDICTION_COLOUR, grey, with_outline
from joint_seg_cls.pictures.slices import SIDES, Plane, most_lesion, spread, window


def draw_planes(
    figure: Figure,
    image: Num[np.ndarray, "x y z"],
    lesions: Bool[np.ndarray, "x y z"] | None,
    *,
    spacing_mm: tuple[float, float, float],
    heading: str,
    columns: int = 3,
) -> None:
    """Draw a row per plane (axial, coronal, sagittal) of the slices with most lesion, lesions outlined.

    Args:
        figure: the figure, which is empty.
        image: the scan, axes RAS+; the left of the head is at the left of a slice.
        lesions: mask on the same grid; without lesions the slices are spread over the head.
        columns: slices per plane.
    """
    levels = window(image)
    planes = get_args(Plane)
    grid = figure.subplots(len(planes), columns, squeeze=False)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.94, 0.02, 0.02)
    figure.suptitle(heading, color="white", fontsize=11, parse_math=False)
    for axes, plane in zip(grid, planes, strict=True):
        cuts = spread(image.shape, columns, plane) if lesions is None else most_lesion(lesions, columns, plane)
        for panel in axes:
            panel.axis("off")
        for panel, cut in zip(axes, cuts, strict=False):  # a thin volume has fewer slices
            picture = grey(cut.of(image), levels)
            if lesions is not None:
                picture = with_outline(picture, cut.of(lesions), PREDICTION_COLOUR)
            panel.imshow(picture, origin="lower", aspect=cut.aspect(spacing_mm), interpolation="nearest")
            for x, align, text in ((0.02, "left", SIDES[plane][0]), (0.98, "right", SIDES[plane][1])):
                panel.text(x, 0.5, text, color="0.75", fontsize=7, ha=align, transform=panel.transAxes)
