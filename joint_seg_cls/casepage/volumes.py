"""Volumes for the viewer: cropped to the head, of bytes, compressed, few enough voxels for one page."""

import base64
import gzip
from dataclasses import dataclass
from typing import final

import nibabel as nib
import numpy as np
from jaxtyping import Float, Int, Num, Shaped
from matplotlib import colormaps

from joint_seg_cls.casepage.case import Case
from joint_seg_cls.pictures import PREDICTION_COLOUR, map_levels, window
from joint_seg_cls.scan import Grid, resample

#: Quantiles of the image drawn as the lowest and the highest byte.
_DARKEST, _BRIGHTEST = 0.5, 99.95
#: How a map is drawn: its title, its colours, and the byte below which it is translucent.
_DRAWN = {
    "probability": ("Lesion probability", "viridis", 128),
    "location": ("Location map", "inferno", 128),
    "grad_cam": ("Grad-CAM", "inferno", 128),
    "disagreement": ("Disagreement", "cividis", 128),
}

#: First word of the names of an earlier visit's images among the maps of a case.
_EARLIER = "earlier"

Colours = dict[str, list[int]]


@final
@dataclass(frozen=True, eq=False)
class ViewerVolume:
    """A volume of the viewer.

    Attributes:
        key: its name in the page: ``image``, ``lesions`` or a map's; ``image-2`` and so on for further modalities,
            ``earlier-2`` for those of an earlier visit.
        title: its name for the reader.
        nifti: a compressed NIfTI file in base64.
        levels: values drawn as black and white; of a map, where it becomes opaque and its brightest value.
        colours: red, green, blue and opacity (A) from 0 to 255 at the values I; None for grey.
        is_visible: whether it is drawn at first.
    """

    key: str
    title: str
    nifti: str
    levels: tuple[float, float]
    colours: Colours | None
    is_visible: bool

    @property
    def is_image(self) -> bool:
        """Whether it is a modality of the scan, of which one is shown at a time."""
        return self.key.startswith("image")


def viewer_volumes(
    case: Case, most_voxels: int, colours: dict[int, tuple[float, float, float]] | None = None
) -> list[ViewerVolume]:
    """Return the image, the lesions and the maps of a cropped case on one grid of at most ``most_voxels``.

    Lesions are numbered by the rows of the table; ``colours`` gives a row's colour.
    """
    grid = coarser(case.grid, most_voxels)
    images = [(name.upper(), image) for name, image in case.images.items()] or [("Image", case.image)]
    volumes = [_image(number, name, image, case.grid, grid) for number, (name, image) in enumerate(images, 1)]
    for key, (title, name, least) in _DRAWN.items():
        if key in case.maps:
            values = resample(case.maps[key].astype(np.float32), case.grid, grid, linear=True)
            top = map_levels(case.maps[key])[1] if key in ("location", "grad_cam") else max(float(values.max()), 1e-6)
            top = 1.0 if key == "probability" else top
            packed = _nifti(_to_byte(values, 0.0, top), grid)
            volumes.append(ViewerVolume(key, title, packed, (least, 255), map_colours(name), False))
    earlier = [name for name in case.maps if name.startswith(_EARLIER)]
    for number, name in enumerate(earlier, 1):
        key = _EARLIER if number == 1 else f"{_EARLIER}-{number}"
        title = f"Earlier {name.removeprefix(_EARLIER).strip().upper() or 'scan'}"
        values = resample(case.maps[name], case.grid, grid, linear=True)
        packed = _nifti(_to_byte(values, *window(case.maps[name])), grid)
        volumes.append(ViewerVolume(key, title, packed, (0, 255), None, False))
    if case.labels is not None:
        labels = _shrunk_labels(case.labels, case.grid, grid)
        table = _label_colours(int(case.labels.max()), colours or {})
        volumes.append(ViewerVolume("lesions", "Lesions", _nifti(labels.astype(np.int16), grid), (0, 1), table, True))
    return volumes


def _image(number: int, name: str, image: Num[np.ndarray, "x y z"], grid: Grid, target: Grid) -> ViewerVolume:
    """Return a modality of the scan, the first of which is shown."""
    values = resample(image, grid, target, linear=True)
    low, high = (float(value) for value in np.percentile(values, (_DARKEST, _BRIGHTEST)))
    black, white = (_to_byte(np.array(level), low, high).item() for level in window(values))
    key = "image" if number == 1 else f"image-{number}"
    return ViewerVolume(key, name, _nifti(_to_byte(values, low, high), target), (black, white), None, number == 1)


def coarser(grid: Grid, most_voxels: int) -> Grid:
    """Return a grid of at most ``most_voxels`` over the same field of view; its finest axes become coarser first."""
    spacing, shape = np.array(grid.spacing_mm), np.array(grid.shape)
    step = float(spacing.min())
    while np.prod(shape) > most_voxels:
        step *= 1.02
        shape = np.maximum(np.ceil(np.array(grid.shape) * spacing / np.maximum(spacing, step)), 1).astype(int)
    x, y, z = (int(side) for side in shape)
    return grid if (x, y, z) == grid.shape else grid.resized((x, y, z))


def lesion_points_mm(labels: Int[np.ndarray, "x y z"], grid: Grid) -> list[list[float]]:
    """Return a voxel centre inside each lesion, the one nearest to its centroid, in RAS+ millimetres, by row."""
    index = np.argwhere(labels)
    owner = labels[tuple(index.T)]
    points = []
    for row in range(1, int(labels.max()) + 1):
        own = index[owner == row]
        if not len(own):  # a row of the other visit
            points.append([])
            continue
        nearest = own[np.linalg.norm((own - own.mean(axis=0)) * grid.spacing_mm, axis=1).argmin()]
        points.append([round(float(value), 2) for value in (grid.affine @ [*nearest, 1.0])[:3]])
    return points


def map_colours(name: str) -> Colours:
    """Return a colour map of matplotlib, transparent at its lower end."""
    at = np.linspace(0, 1, 9)
    red, green, blue, alpha = (np.rint(255 * column).astype(int).tolist() for column in colormaps[name](at).T)
    return {"R": red, "G": green, "B": blue, "A": [0, *alpha[1:]], "I": np.rint(255 * at).astype(int).tolist()}


def _label_colours(count: int, colours: dict[int, tuple[float, float, float]]) -> Colours:
    rows = [colours.get(row, PREDICTION_COLOUR) for row in range(1, count + 1)]
    red, green, blue = (np.rint(255 * np.array([(0, 0, 0), *rows])).astype(int).T).tolist()
    return {"R": red, "G": green, "B": blue, "A": [0] + [255] * count, "I": list(range(count + 1))}


def _shrunk_labels(labels: Int[np.ndarray, "x y z"], grid: Grid, target: Grid) -> Int[np.ndarray, "X Y Z"]:
    """Return labels on a coarser grid; a lesion that falls between its voxels keeps the nearest one."""
    if target is grid:
        return labels
    small = resample(labels, grid, target, linear=False)
    lost = set(np.unique(labels).tolist()) - set(np.unique(small).tolist())
    if lost:
        points = lesion_points_mm(labels, grid)
        for row in lost:
            index = np.linalg.solve(target.affine, [*points[row - 1], 1.0])[:3]
            small[tuple(np.clip(np.rint(index).astype(int), 0, np.array(target.shape) - 1))] = row
    return small


def _to_byte(values: Float[np.ndarray, "..."], low: float, high: float) -> np.ndarray:
    share = (values.astype(np.float32) - low) / (high - low if high > low else 1.0)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def _nifti(values: Shaped[np.ndarray, "x y z"], grid: Grid) -> str:
    content = gzip.compress(nib.Nifti1Image(values, grid.affine).to_bytes(), mtime=0)
    return base64.b64encode(content).decode("ascii")
