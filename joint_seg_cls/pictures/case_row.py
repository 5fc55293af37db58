"""A case as one row of pixels: scan, reference, prediction and location map of one slice."""

import numpy as np
from jaxtyping import Bool, Float, Num, UInt8

from joint_seg_cls.pictures.overlay import PREDICTION_COLOUR, REFERENCE_COLOUR, grey, with_fill, with_map, with_outline
from joint_seg_cls.pictures.scaling import square_pixels
from joint_seg_cls.pictures.slices import Slice, window

#: Height of a row and width of the gap between two pictures, in pixels.
HEIGHT, _GAP = 200, 4
#: Quantile of a location map at its brightest colour.
_BRIGHTEST_PERCENTILE = 99.9


def case_row(
    cut: Slice,
    image: Num[np.ndarray, "x y z"],
    reference: Bool[np.ndarray, "x y z"] | None,
    prediction: Bool[np.ndarray, "x y z"] | None,
    location_map: Float[np.ndarray, "x y z"] | None,
    *,
    spacing_mm: tuple[float, float, float],
) -> UInt8[np.ndarray, "row column 3"]:
    """Return one slice as RGB, first row at the top: scan, reference, prediction, location map.

    Masks are filled and outlined, each in its own colour. The map is drawn from 0 to its 99.9th percentile over the
    whole volume. None omits the column. All volumes are on one grid with RAS+ axes.
    """
    aspect = cut.aspect(spacing_mm)

    def of(volume: np.ndarray, order: int) -> np.ndarray:
        return square_pixels(cut.of(volume), aspect, HEIGHT, order=order)

    plain = grey(of(image, 1), window(image))
    parts = [plain]
    for mask, colour in ((reference, REFERENCE_COLOUR), (prediction, PREDICTION_COLOUR)):
        if mask is not None:
            drawn = of(mask, 0).astype(bool)
            parts.append(with_outline(with_fill(plain, drawn, colour, 0.35), drawn, colour))
    if location_map is not None:
        parts.append(with_map(plain, of(location_map, 1), map_levels(location_map)))
    line = np.ones((HEIGHT, _GAP, 3))
    row = np.concatenate([piece for part in parts for piece in (part, line)][:-1], axis=1)
    return np.rint(255 * np.clip(row[::-1], 0, 1)).astype(np.uint8)


def on_black(image: Num[np.ndarray, "x y z"], tissue: Bool[np.ndarray, "x y z"]) -> Num[np.ndarray, "x y z"]:
    """Set the image to its lowest value outside ``tissue``; z-scored images are grey there otherwise."""
    return np.where(tissue, image, image.min())


def map_levels(location_map: Float[np.ndarray, "..."]) -> tuple[float, float]:
    """Return the values of a location map drawn as black and as brightest: 0 and its 99.9th percentile."""
    return 0.0, max(float(np.percentile(location_map, _BRIGHTEST_PERCENTILE)), 1e-6)
