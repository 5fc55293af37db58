"""Pictures of scans and lesions: slices, overlays and montages, written as PNG."""

from joint_seg_cls.pictures.case_row import case_row, map_levels, on_black
from joint_seg_cls.pictures.lettering import names_as_text
from joint_seg_cls.pictures.montage import case_picture, montage
from joint_seg_cls.pictures.overlay import PREDICTION_COLOUR, REFERENCE_COLOUR, grey, with_fill, with_map, with_outline
from joint_seg_cls.pictures.page import Count, Picture, Section, write_page
from joint_seg_cls.pictures.planes import draw_planes
from joint_seg_cls.pictures.scaling import square_pixels
from joint_seg_cls.pictures.slices import SIDES, Plane, Slice, most_lesion, spread, window
from joint_seg_cls.pictures.strip import BRAIN_COLOUR, strip_png

__all__ = [
    "BRAIN_COLOUR",
    "PREDICTION_COLOUR",
    "REFERENCE_COLOUR",
    "SIDES",
    "Count",
    "Picture",
    "Plane",
    "Section",
    "Slice",
    "case_picture",
    "case_row",
    "draw_planes",
    "grey",
    "map_levels",
    "montage",
    "most_lesion",
    "names_as_text",
    "on_black",
    "spread",
    "square_pixels",
    "strip_png",
    "window",
    "with_fill",
    "with_map",
    "with_outline",
    "write_page",
]
