"""The pictures of the report: regions, lesion density, and scans."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from joint_seg_cls.lesions import template_regions
from joint_seg_cls.phantom import Cohort, simulate_scans
from joint_seg_cls.pictures import (
    REFERENCE_COLOUR,
    SIDES,
    Slice,
    grey,
    montage,
    most_lesion,
    window,
    with_fill,
    with_map,
    with_outline,
)
from joint_seg_cls.scan import Grid, read_mask, read_scan, resample
from joint_seg_cls.scan.template import load_template

#: Size of the panels in the montage of scans, in mm.
PANEL_MM = (170, 210)
DENSITY_HEIGHTS_MM = (-40, -20, 0, 14, 26, 38)
REGION_HEIGHTS_MM = (-54, -36, -24, -12, -6, 2, 10, 22)
#: Order of drawing; later ones are on top.
REGIONS = {
    "cortex": "dimgray",
    "deep_white_matter": "ivory",
    "inferior_temporal": "gold",
    "cerebellum": "tab:olive",
    "medulla": "tab:purple",
    "pons": "tab:green",
    "midbrain": "tab:red",
    "thalamus": "tab:pink",
    "hypothalamus": "magenta",
    "callosum": "tab:orange",
    "internal_capsule": "lime",
    "corticospinal_tract": "darkgreen",
    "area_postrema": "white",
    "lateral_ventricle": "deepskyblue",
    "third_ventricle": "cyan",
    "fourth_ventricle": "blue",
    "aqueduct": "yellow",
}


def regions_picture(path: Path) -> None:
    """Draw the regions over the template, with a legend."""
    template, regions = load_template(1), template_regions(1)
    colours = {name: to_rgb(colour) for name, colour in REGIONS.items()}
    cuts = [Slice("axial", round(z - template.grid.affine[2, 3])) for z in REGION_HEIGHTS_MM]
    cuts += [Slice("sagittal", round(x - template.grid.affine[0, 3])) for x in (0, 22)]
    figure = Figure(figsize=(12, 6.4), dpi=80, facecolor="black")
    FigureCanvasAgg(figure)
    for axes, cut in zip(figure.subplots(2, 5).flat, cuts, strict=True):
        picture = grey(cut.of(template.t1), (0.0, 1.0))
        for name in REGIONS:
            opacity = 0.3 if name in ("cortex", "deep_white_matter") else 0.65
            picture = with_fill(picture, cut.of(regions.masks[name]), colours[name], opacity)
        axes.imshow(picture[15 if cut.plane == "axial" else 0 : -15, 15:-15], origin="lower", interpolation="nearest")
        position = template.grid.affine[2 if cut.plane == "axial" else 0, 3] + cut.index
        axes.set_title(f"{'z' if cut.plane == 'axial' else 'x'} = {position:.0f} mm", color="white", fontsize=8, pad=2)
        axes.axis("off")
    handles = [Patch(color=colours[name], label=name.replace("_", " ")) for name in REGIONS]
    figure.legend(handles=handles, ncol=9, loc="lower center", fontsize=7, facecolor="black", labelcolor="white")
    figure.subplots_adjust(0.005, 0.09, 0.995, 0.95, 0.02, 0.08)
    figure.savefig(path, format="png")


def density_picture(path: Path, densities: dict[str, np.ndarray], grid: Grid) -> None:
    """Draw maps of lesion density on the template, one row per map."""
    spacing = round(grid.spacing_mm[0])
    template = load_template(2 if spacing == 2 else 1)
    cuts = [Slice("axial", round((z - grid.affine[2, 3]) / spacing)) for z in DENSITY_HEIGHTS_MM]
    top = max(float(np.percentile(values, 99.9)) for values in densities.values())
    rows = [
        [with_map(grey(cut.of(template.t1), (0.0, 1.3)), cut.of(values), (0.0, top)) for cut in cuts]
        for values in densities.values()
    ]
    titles = [f"z = {z} mm" for z in DENSITY_HEIGHTS_MM]
    montage(rows, titles, path, sides=SIDES["axial"], row_labels=list(densities), heading=f"0 to {top:.0%} of patients")


def scans_picture(path: Path, cohort: Cohort, subjects: list[int], real: tuple[Path, Path] | None = None) -> None:
    """Draw scans in columns: FLAIR above, with the reference below; ``real`` (scan, mask) is last."""
    above, below, titles = [], [], []
    for subject in subjects:
        scan = next(iter(simulate_scans(cohort, subject, spacing_mm=1, raters=1)))
        picture, marked = _slice_pair(scan.flair, scan.lesion_masks[0], scan.grid)
        above.append(picture)
        below.append(marked)
        titles.append(f"{cohort.patient(subject)[1].disease} {subject}")
    if real is not None:
        scan = read_scan(real[0])
        picture, marked = _slice_pair(scan.data, read_mask(real[1], scan.grid), scan.grid)
        above.append(picture)
        below.append(marked)
        titles.append("real MS")
    montage([above, below], titles, path, sides=SIDES["axial"])


def _slice_pair(flair: np.ndarray, lesion: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the axial slice with most lesion, without and with the lesions' outline, at 1 mm and of fixed size."""
    upright = grid.canonical()
    x, y, _ = (max(round(n * s), 1) for n, s in zip(upright.shape, upright.spacing_mm, strict=True))
    fine = upright.resized((x, y, upright.shape[2]))
    image = resample(flair.astype(np.float32), grid, fine, linear=True)
    mask = resample(lesion, grid, fine, linear=False)
    (cut,) = most_lesion(mask, 1)
    picture = grey(_fitted(cut.of(image)), window(image))
    return picture, with_outline(picture, _fitted(cut.of(mask)), REFERENCE_COLOUR)


def _fitted(image: np.ndarray) -> np.ndarray:
    """Crop or pad a slice about its centre."""
    for axis, size in enumerate((PANEL_MM[1], PANEL_MM[0])):
        missing = max(size - image.shape[axis], 0)
        image = np.pad(image, [(missing // 2, missing - missing // 2) if a == axis else (0, 0) for a in range(2)])
        start = (image.shape[axis] - size) // 2
        image = image.take(range(start, start + size), axis)
    return image


def six_subjects(cohort: Cohort) -> list[int]:
    """Return the first three patients with lesions of each disease, MS first."""
    chosen: dict[str, list[int]] = {"MS": [], "NMOSD": []}
    for subject in range(1, cohort.recruitment.subjects() + 1):
        patient = cohort.patient(subject)[1]
        if patient.count and len(chosen[patient.disease]) < 3:
            chosen[patient.disease].append(subject)
    return chosen["MS"] + chosen["NMOSD"]
