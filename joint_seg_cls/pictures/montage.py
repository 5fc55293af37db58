"""Slices in rows and columns, written as one PNG file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Num
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.pictures.case_row import map_levels
from joint_seg_cls.pictures.lettering import names_as_text
from joint_seg_cls.pictures.overlay import PREDICTION_COLOUR, REFERENCE_COLOUR, grey, with_fill, with_map, with_outline
from joint_seg_cls.pictures.slices import SIDES, most_lesion, window

#: Width of one panel in inches, and pixels per inch.
_PANEL_INCHES, _DOTS_PER_INCH = 2.4, 100


def montage(
    panels: Sequence[Sequence[Num[np.ndarray, "row column ..."]]],
    titles: Sequence[str],
    path: str | Path,
    *,
    aspect: float = 1.0,
    sides: tuple[str, str] | None = None,
    row_labels: Sequence[str] = (),
    notes: Sequence[Sequence[str]] = (),
    heading: str = "",
    dots_per_inch: int = _DOTS_PER_INCH,
) -> None:
    """Write a table of pictures as PNG.

    Args:
        panels: rows of pictures, each grey or RGB in [0, 1], with the first row at the bottom.
        titles: one per column, or fewer.
        aspect: height of a pixel divided by its width.
        sides: labels at the left and right of each picture, such as ("L", "R").
        row_labels: one per row.
        notes: rows of short texts, one below each picture.
        heading: title of the whole figure.
        dots_per_inch: a picture is 2.4 inches wide.
    """
    rows, columns = len(panels), max(len(row) for row in panels)
    height, width = panels[0][0].shape[:2]
    panel_height = _PANEL_INCHES * height * aspect / width
    top = 0.3 + (0.35 if heading else 0.0)
    size = (columns * _PANEL_INCHES, rows * panel_height + top)
    figure = Figure(figsize=size, dpi=dots_per_inch, facecolor="black")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(0, 0, 1, 1 - top / size[1], 0.01, 0.01)
    for number, row in enumerate(panels):
        for column in range(columns):
            axes = grid[number, column]
            axes.axis("off")
            if column >= len(row):
                continue
            axes.imshow(row[column], cmap="gray", origin="lower", aspect=aspect, interpolation="nearest")
            if number == 0 and column < len(titles):
                axes.set_title(titles[column], color="white", fontsize=10, pad=4)
            for x, side in zip((0.02, 0.98), sides or (), strict=False):
                _write(axes, x, 0.5, side, "left" if x < 0.5 else "right")
            if column == 0 and number < len(row_labels):
                _write(axes, 0.02, 0.03, row_labels[number], "left")
            if number < len(notes) and column < len(notes[number]):
                _write(axes, 0.98, 0.03, notes[number][column], "right")
    if heading:
        figure.suptitle(heading, color="white", fontsize=11, y=1 - 0.12 / size[1], va="top")
    with atomic_file(Path(path)) as partial, names_as_text(figure):
        figure.savefig(partial, format="png")


def case_picture(
    path: str | Path,
    image: Num[np.ndarray, "x y z"],
    reference: Bool[np.ndarray, "x y z"] | None,
    prediction: Bool[np.ndarray, "x y z"],
    location_map: Float[np.ndarray, "x y z"] | None,
    title: str,
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    rows: int = 4,
) -> None:
    """Draw one case: image, reference, prediction and location map in columns, ``rows`` axial slices with most lesion.

    All volumes are on one grid with RAS+ axes and ``spacing_mm``. A reference or map of None omits its column. The map
    is drawn from 0 to its 99.9th percentile: brighter voxels contribute more to the score of the class.
    """
    chosen = most_lesion(prediction if reference is None else reference | prediction, rows)
    levels = window(image)
    shades = (0.0, 1.0) if location_map is None else map_levels(location_map)
    panels = []
    for cut in reversed(chosen):
        picture = grey(cut.of(image), levels)
        row = [picture]
        if reference is not None:
            row.append(_marked(picture, cut.of(reference), REFERENCE_COLOUR))
        row.append(_marked(picture, cut.of(prediction), PREDICTION_COLOUR))
        if location_map is not None:
            row.append(with_map(picture, cut.of(location_map), shades))
        panels.append(row)
    names = ("FLAIR", reference is not None and "reference", "prediction", location_map is not None and "location map")
    montage(
        panels,
        [name for name in names if name],
        path,
        aspect=chosen[0].aspect(spacing_mm),
        sides=SIDES["axial"],
        row_labels=[f"slice {cut.index}" for cut in reversed(chosen)],
        heading=title,
    )


def _marked(picture: np.ndarray, mask: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    return with_outline(with_fill(picture, mask, colour, 0.35), mask, colour)


def _write(axes: Axes, x: float, y: float, text: str, align: str) -> None:
    axes.text(x, y, text, color="0.75", fontsize=7, ha=align, va="center", transform=axes.transAxes)
