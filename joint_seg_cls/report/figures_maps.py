"""Location maps of Eq. 10 and Grad-CAM of the classifier (Huang et al. 2024 [1], Fig. 12).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from joint_seg_cls.inference.explanation import maps_of
from joint_seg_cls.pictures import map_levels, with_fill, with_map
from joint_seg_cls.report.figure import Figure
from joint_seg_cls.report.figures_cases import FigureCase, Gallery, View, choose_cases, save_panels
from joint_seg_cls.report.figures_lesions import RED
from joint_seg_cls.report.variants import Variant

#: Quantiles of DSC of the cases shown for each class.
_SHARES = (0.25, 0.75)
_OPACITY = 0.75


def draw_maps(pooled: Variant, gallery: Gallery, out: Path, name: str, title: str) -> Figure:
    """Draw image, reference, location map and Grad-CAM of two cases of each class."""
    panels, notes, shown = [], [], choose_cases(pooled, _SHARES, set(pooled.rows["case"]))
    for one in shown:
        run = pooled.by_fold[one.fold]
        case = gallery.case(run, one.case)
        found = gallery.findings(run, case)
        if found.location_map is None or found.disease_probability is None:
            return Figure(name, title, missing=f"{pooled.label} has no location maps")
        predicted = int(found.disease_probability.argmax())
        _, cam = maps_of(gallery.network(run).network, np.asarray(case.image()), predicted)
        view = View.of(case)
        plain = view.grey()
        reference = view.mask(np.asarray(case.lesion_mask(), dtype=bool))
        maps = [
            with_map(plain, view.of_volume(volume, order=1), map_levels(volume)) for volume in (found.location_map, cam)
        ]
        panels.append([plain, with_fill(plain, reference, RED, _OPACITY), *maps])
        notes.append(["", "", f"{pooled.classes[predicted]}, p = {found.disease_probability[predicted]:.2f}", ""])
    if not shown:
        return Figure(name, title, missing="no finished test case has a reference")
    titles = ["image", "reference", "location map (Eq. 10)", "Grad-CAM"]
    path = save_panels(out / f"{name}.png", panels, titles, shown, notes)
    return Figure(name, title, _caption(shown, pooled), path)


def _caption(shown: Sequence[FigureCase], pooled: Variant) -> str:
    cases = ", ".join(f"{one.disease} {one.dsc:.2f}" for one in shown)
    return (
        f"{pooled.label}: the cases at the first and third quartile of DSC of each class ({cases}), not used in "
        "training; the axial slice with most of the reference (red), on the network's grid. Maps are those of the "
        "predicted class, given with its probability: the contribution of each voxel to the score (Eq. 10, all three "
        "scales), and Grad-CAM of the last block, which is the positive part of the coarsest of the three. Each is "
        "drawn from 0 to the 99.9th percentile of its volume, including voxels outside the brain, so brightness is not "
        "comparable between pictures."
    )
