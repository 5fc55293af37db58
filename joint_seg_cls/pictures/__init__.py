"""Pictures of scans and lesions: slices, overlays and montages, written as PNG."""

from joint_seg_cls.pictures.montage import case_picture, montage
from joint_seg_cls.pictures.overlay import PREDICTION_COLOUR, REFERENCE_COLOUR, grey, with_fill, with_map, with_outline
from joint_seg_cls.pictures.slices import SIDES, Plane, Slice, most_lesion, spread, window

__all__ = [
    "PREDICTION_COLOUR",
    "REFERENCE_COLOUR",
    "SIDES",
    "Plane",
    "Slice",
    "case_picture",
    "grey",
    "montage",
    "most_lesion",
    "spread",
    "window",
    "with_fill",
    "with_map",
    "with_outline",
]
