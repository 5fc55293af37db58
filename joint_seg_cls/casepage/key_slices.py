"""Static pictures of a case: slices with much lesion in three planes, lesions outlined, and the location map."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final, get_args

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.image import imsave

from joint_seg_cls.casepage.case import Case
from joint_seg_cls.pictures import (
    PREDICTION_COLOUR,
    SIDES,
    Plane,
    Slice,
    grey,
    map_levels,
    most_lesion,
    square_pixels,
    window,
    with_map,
    with_outline,
)

#: Planes in the order of the page.
PLANES: tuple[Plane, ...] = get_args(Plane)
_AXIS = {"axial": 2, "coronal": 1, "sagittal": 0}
#: Height of a picture and of a thumbnail in pixels, and quality of the JPEG files.
_HEIGHT, _THUMBNAIL, _QUALITY = 300, 112, 88


@final
@dataclass(frozen=True, eq=False)
class KeySlice:
    """One slice of a case, first row at the top, colours in [0, 1].

    Attributes:
        position_mm: its position across the plane, at the centre of the slice, in RAS+ millimetres.
        lesions: rows of the lesion table, from 1, that it shows.
        outlined: the image with outlined lesions.
        mapped: the image under the location map; None for a network that does not classify.
        others: the further modalities by name, with outlined lesions.
    """

    plane: Plane
    position_mm: float
    lesions: tuple[int, ...]
    outlined: Float[np.ndarray, "row column 3"]
    mapped: Float[np.ndarray, "row column 3"] | None
    others: Mapping[str, Float[np.ndarray, "row column 3"]] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[str, str]:
        """Labels at the left and at the right."""
        return SIDES[self.plane]

    @property
    def axis(self) -> str:
        """Name of the axis across the plane."""
        return "xyz"[_AXIS[self.plane]]


def key_slices(
    case: Case,
    count: int = 4,
    *,
    mask: Bool[np.ndarray, "x y z"] | None = None,
    colours: dict[int, tuple[float, float, float]] | None = None,
) -> list[KeySlice]:
    """Return ``count`` slices of each plane, ordered by plane and position.

    Args:
        case: the case, cropped to the head.
        count: slices of a plane.
        mask: the voxels that slices are chosen for; by default the lesions.
        colours: colour of an outline by the lesion's row; by default one colour.
    """
    labels = np.zeros(case.image.shape, np.int32) if case.labels is None else case.labels
    chosen_for = labels > 0 if mask is None else mask
    cuts = [cut for plane in PLANES for cut in most_lesion(chosen_for, count, plane)]
    names = list(case.images)[1:]
    shown = {"": (case.image, window(case.image)), **{n: (case.images[n], window(case.images[n])) for n in names}}
    return [_drawn(cut, case, labels, shown, colours) for cut in cuts]


def _drawn(
    cut: Slice,
    case: Case,
    labels: np.ndarray,
    images: Mapping[str, tuple[np.ndarray, tuple[float, float]]],
    colours: dict[int, tuple[float, float, float]] | None,
) -> KeySlice:
    """Draw a slice of every one of ``images``, given with its window; the first has an empty name."""
    aspect = cut.aspect(case.grid.spacing_mm)
    drawn = {
        name: grey(square_pixels(cut.of(image), aspect, _HEIGHT, order=1), levels)
        for name, (image, levels) in images.items()
    }
    plain = drawn[""]
    here = cut.of(labels)
    rows = tuple(int(row) for row in np.unique(here) if row)
    groups: dict[tuple[float, float, float], list[int]] = {}
    for row in rows:
        groups.setdefault((colours or {}).get(row, PREDICTION_COLOUR), []).append(row)
    for colour, members in groups.items():
        mask = square_pixels(np.isin(here, members).astype(np.float32), aspect, _HEIGHT, order=1) >= 0.5
        drawn = {name: with_outline(picture, mask, colour) for name, picture in drawn.items()}
    location, mapped = case.maps.get("location"), None
    if location is not None:
        values = square_pixels(cut.of(location), aspect, _HEIGHT, order=1)
        mapped = with_map(plain, values, map_levels(location))[::-1]
    axis = _AXIS[cut.plane]
    centre = (np.array(case.grid.shape) - 1) / 2
    centre[axis] = cut.index
    position = float((case.grid.affine @ [*centre, 1.0])[axis])
    outlined, *others = ((name, picture[::-1]) for name, picture in drawn.items())
    return KeySlice(cut.plane, position, rows, outlined[1], mapped, dict(others))


def jpeg(picture: Float[np.ndarray, "row column 3"]) -> str:
    """Return a picture as the data URL of a JPEG file."""
    file = io.BytesIO()
    settings = {"quality": _QUALITY, "subsampling": 0}
    imsave(file, np.ascontiguousarray(np.clip(picture, 0, 1)), format="jpeg", pil_kwargs=settings)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def thumbnail(slices: list[KeySlice]) -> str:
    """Return the axial slice with most lesions, small, as a data URL."""
    best = max((cut for cut in slices if cut.plane == "axial"), key=lambda cut: len(cut.lesions))
    height = best.outlined.shape[0]
    step = max(height // _THUMBNAIL, 1)
    rows, columns = (size // step * step for size in best.outlined.shape[:2])
    blocks = best.outlined[:rows, :columns].reshape(rows // step, step, columns // step, step, 3)
    return jpeg(blocks.mean(axis=(1, 3)))
