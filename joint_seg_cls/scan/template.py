"""The MNI152 brain packaged with nilearn: T1-weighted image, tissue maps and brain mask."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, final

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.scan.grid import Grid


@final
@dataclass(frozen=True, eq=False)
class Template:
    """The MNI152 template (ICBM 2009a, nonlinear, symmetric) on one RAS+ grid; its arrays are shared and read-only.

    Attributes:
        grid: voxels of 1 or 2 mm in MNI space.
        t1: brain without skull, arbitrary units in [0, 1], 0 outside the brain.
        white: probability of white matter in [0, 1].
        grey: probability of grey matter in [0, 1].
        brain: brain mask, including inner cerebrospinal fluid.
    """

    grid: Grid
    t1: Float[np.ndarray, "x y z"]
    white: Float[np.ndarray, "x y z"]
    grey: Float[np.ndarray, "x y z"]
    brain: Bool[np.ndarray, "x y z"]


@lru_cache(maxsize=2)
def load_template(spacing_mm: Literal[1, 2]) -> Template:
    """Return the template with (197, 233, 189) voxels of 1 mm or (99, 117, 95) of 2 mm; nothing is downloaded.

    Source: https://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009, as packaged by nilearn.
    """
    with _quiet():
        from nilearn import datasets

        t1, white, grey, brain = (
            load(resolution=spacing_mm)
            for load in (
                datasets.load_mni152_template,
                datasets.load_mni152_wm_template,
                datasets.load_mni152_gm_template,
                datasets.load_mni152_brain_mask,
            )
        )
    x, y, z = t1.shape
    grid = Grid((x, y, z), np.asarray(t1.affine, dtype=np.float64))
    return Template(grid, _values(t1), _values(white), _values(grey), _values(brain) > 0.5)


def _values(image: nib.Nifti1Image) -> Float[np.ndarray, "x y z"]:
    values = np.clip(np.asarray(image.dataobj, dtype=np.float32), 0, 1)
    values.setflags(write=False)
    return values


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of nilearn during import and resampling, which do not concern our users."""
    logger = logging.getLogger("nilearn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
