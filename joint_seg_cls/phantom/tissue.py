"""Tissues of a simulated FLAIR, and their FreeSurfer label numbers."""

from enum import IntEnum
from typing import final

import numpy as np
from jaxtyping import Bool, Shaped, UInt8


@final
class Tissue(IntEnum):
    """One value per voxel of a head. Values from ``OUTSIDE`` on are kinds of tissue outside the brain."""

    AIR = 0
    WHITE = 1
    CORTEX = 2
    DEEP_GREY = 3
    PALLIDUM = 4
    HIPPOCAMPUS = 5
    BRAIN_STEM = 6
    CEREBELLAR_WHITE = 7
    CEREBELLAR_CORTEX = 8
    LATERAL_VENTRICLE = 9
    THIRD_VENTRICLE = 10
    FOURTH_VENTRICLE = 11
    FLUID = 12
    CHOROID_PLEXUS = 13
    OUTSIDE = 20


#: Number of kinds of tissue outside the brain.
OUTSIDE_KINDS = 32
VENTRICLES = (Tissue.LATERAL_VENTRICLE, Tissue.THIRD_VENTRICLE, Tissue.FOURTH_VENTRICLE)

#: Numbers of FreeSurfer's colour table, by tissue: ``aseg``, ``aparc+aseg``, ``wmparc``, and additions of SynthSeg.
_NUMBERS: dict[Tissue, tuple[int | range, ...]] = {
    Tissue.WHITE: (
        *(2, 41, 25, 57, 77, 78, 79, 136, 137, 155, 156, 157, 158, 163, 164, 5001, 5002),
        *(range(250, 256), range(3000, 5000), range(13100, 13176), range(14100, 14176)),
    ),
    Tissue.CORTEX: (3, 42, range(1000, 1036), range(2000, 2036), range(11100, 11176), range(12100, 12176), 80, 81, 82),
    Tissue.DEEP_GREY: (9, 48, 10, 49, 11, 50, 12, 51, 26, 58, 28, 60, 18, 54, 85, 27, 59),
    Tissue.PALLIDUM: (13, 52),
    Tissue.HIPPOCAMPUS: (17, 53),
    Tissue.BRAIN_STEM: (16, 173, 174, 175, 178),
    Tissue.CEREBELLAR_WHITE: (7, 46),
    Tissue.CEREBELLAR_CORTEX: (8, 47, 172),
    Tissue.LATERAL_VENTRICLE: (4, 43, 5, 44, 72),
    Tissue.THIRD_VENTRICLE: (14,),
    Tissue.FOURTH_VENTRICLE: (15,),
    Tissue.FLUID: (24, 122, 257),
    Tissue.CHOROID_PLEXUS: (31, 63, 30, 62),
}
#: Label numbers outside the brain.
_OUTSIDE_NUMBERS = (range(500, 500 + OUTSIDE_KINDS), 258, 259, 165, 130)
_MOST = 15_000
_UNKNOWN = 255


def from_freesurfer(labels: Shaped[np.ndarray, "x y z"]) -> tuple[UInt8[np.ndarray, "x y z"], list[int]]:
    """Return the tissue of each voxel, and unknown label numbers (their voxels become air)."""
    table = _table()
    inside = (labels >= 0) & (labels < _MOST)
    tissue = np.where(inside, table[np.where(inside, labels, 0)], _UNKNOWN).astype(np.uint8)
    unknown = tissue == _UNKNOWN
    numbers = sorted(int(number) for number in np.unique(labels[unknown])) if unknown.any() else []
    tissue[unknown] = Tissue.AIR
    return tissue, numbers


def is_brain(tissue: UInt8[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return the voxels of the brain, including inner fluid but not the fluid around it."""
    return (tissue > Tissue.AIR) & (tissue < Tissue.OUTSIDE) & (tissue != Tissue.FLUID)


def _table() -> UInt8[np.ndarray, " n"]:
    table = np.full(_MOST, _UNKNOWN, dtype=np.uint8)
    table[0] = Tissue.AIR
    for tissue, numbers in _NUMBERS.items():
        for number in numbers:
            table[number if isinstance(number, int) else slice(number.start, number.stop)] = tissue
    for kind, numbers in enumerate(_OUTSIDE_NUMBERS):
        span = range(numbers, numbers + 1) if isinstance(numbers, int) else numbers
        for place, number in enumerate(span):
            table[number] = Tissue.OUTSIDE + (place if kind == 0 else kind)
    return table
