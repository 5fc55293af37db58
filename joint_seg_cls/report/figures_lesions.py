"""Segmentations of several methods and the reference (Huang et al. 2024 [1], Fig. 8 and 10).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.metrics import dice
from joint_seg_cls.pictures import with_fill
from joint_seg_cls.report.figure import Figure
from joint_seg_cls.report.figures_cases import FigureCase, Gallery, View, choose_cases, save_panels
from joint_seg_cls.report.variants import Variant

Colour = tuple[float, float, float]
#: Draws the slices of prediction and reference on a grey picture.
Paint = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
RED: Colour = (0.92, 0.10, 0.10)
GREEN: Colour = (0.10, 0.80, 0.20)
YELLOW: Colour = (1.0, 0.90, 0.10)
_OPACITY = 0.75
#: Maximum number of methods in a figure.
MOST_METHODS = 4


def draw_lesions(
    methods: Sequence[Variant], chosen_by: Variant, gallery: Gallery, out: Path, name: str, title: str
) -> Figure:
    """Draw the case of median DSC of each class: image, reference and methods, lesions in red."""
    return _draw(methods, chosen_by, gallery, out, (name, title), _red, "Lesions in red.")


def draw_errors(
    methods: Sequence[Variant], chosen_by: Variant, gallery: Gallery, out: Path, name: str, title: str
) -> Figure:
    """Draw the same cases with true positives, false positives and false negatives of each method."""
    legend = "Red: true positive; green: false positive; yellow: false negative."
    return _draw(methods, chosen_by, gallery, out, (name, title), hits_and_misses, legend)


def _draw(
    methods: Sequence[Variant],
    chosen_by: Variant,
    gallery: Gallery,
    out: Path,
    named: tuple[str, str],
    paint: Paint,
    legend: str,
) -> Figure:
    name, title = named
    methods = methods[:MOST_METHODS]
    tested = [dict(zip(one.rows["case"], one.rows["fold"], strict=True)) for one in methods]
    shown = choose_cases(chosen_by, [0.5], set.intersection(*map(set, tested)))
    if not shown:
        return Figure(name, title, missing="no scan with a reference is tested by all methods")
    panels, notes = [], []
    for one in shown:
        case = gallery.case(chosen_by.by_fold[one.fold], one.case)
        view, reference = View.of(case), np.asarray(case.lesion_mask(), dtype=bool)
        plain = view.grey()
        row, scores = [plain, with_fill(plain, view.mask(reference), RED, _OPACITY)], ["", ""]
        for method, fold in zip(methods, tested, strict=True):
            found = gallery.lesions(method.by_fold[fold[one.case]], case)
            row.append(paint(plain, view.mask(found), view.mask(reference)))
            scores.append(f"DSC {dice(found, reference):.2f}")
        panels.append(row)
        notes.append(scores)
    titles = ["image", "reference", *(method.label for method in methods)]
    path = save_panels(out / f"{name}.png", panels, titles, shown, notes)
    return Figure(name, title, f"{legend} {_caption(shown, chosen_by, len(methods))}", path)


def _red(
    plain: Float[np.ndarray, "row column 3"],
    found: Bool[np.ndarray, "row column"],
    reference: Bool[np.ndarray, "row column"],
) -> Float[np.ndarray, "row column 3"]:
    del reference
    return with_fill(plain, found, RED, _OPACITY)


def hits_and_misses(
    plain: Float[np.ndarray, "row column 3"],
    found: Bool[np.ndarray, "row column"],
    reference: Bool[np.ndarray, "row column"],
) -> Float[np.ndarray, "row column 3"]:
    """Return the picture with true positives red, false positives green, false negatives yellow."""
    for mask, colour in ((found & reference, RED), (found & ~reference, GREEN), (~found & reference, YELLOW)):
        plain = with_fill(plain, mask, colour, _OPACITY)
    return plain


def _caption(shown: Sequence[FigureCase], chosen_by: Variant, methods: int) -> str:
    each = "each by the network of its test fold" if methods > 1 else "by the network of its test fold"
    cases = " and ".join(f"the {one.disease} case of median DSC ({one.dsc:.2f})".replace("  ", " ") for one in shown)
    return (
        f"Shown: {cases} of {chosen_by.label}, held out, {each}; the axial slice with most of the reference "
        "on the network's grid, on which the DSC beside each picture is computed. The median is over scans tested by "
        "all methods, in their own grids."
    )
