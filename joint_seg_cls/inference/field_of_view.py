"""Whether a scan shows the whole brain."""

import numpy as np
from jaxtyping import Bool

from joint_seg_cls.scan import Grid, reorient

#: Cross-section of the brain at a border of the image, as a share of its largest one; a whole brain has less.
_CUT = 0.4
#: First and last slice along each axis of a RAS+ volume.
_SIDES = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))


def cut_sides(brain: Bool[np.ndarray, "i j k"], grid: Grid) -> list[str]:
    """Return the sides of the image at which the brain is cut off, such as ``superior``.

    At such a side, the brain mask covers 40 % or more of its largest cross-section along this axis.
    """
    mask = reorient(brain, grid, grid.canonical())
    found = []
    for axis, sides in enumerate(_SIDES):
        areas = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        found += [side for side, area in zip(sides, (areas[0], areas[-1]), strict=True) if area > _CUT * areas.max()]
    return found
