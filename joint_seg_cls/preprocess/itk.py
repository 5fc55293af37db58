"""Volumes and transforms of SimpleITK from and to the RAS+ millimetres of this program."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from joint_seg_cls.scan import Grid

if TYPE_CHECKING:
    import SimpleITK

#: Converts between RAS+ (NIfTI) and LPS+ (ITK) millimetres.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def itk_image(data: Shaped[np.ndarray, "x y z"], grid: Grid) -> "SimpleITK.Image":
    """Return a volume as an image of SimpleITK (float32)."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0), dtype=np.float32))
    affine = LPS @ grid.affine
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection((affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def millimetre_matrix(transform: "SimpleITK.Euler3DTransform | SimpleITK.AffineTransform") -> Float[np.ndarray, "4 4"]:
    """Return the matrix of a linear transform in RAS+ millimetres."""
    linear, centre = np.array(transform.GetMatrix()).reshape(3, 3), np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre + np.array(transform.GetTranslation()) - linear @ centre
    return LPS @ matrix @ LPS


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread in ITK, for a fixed order of summation; its metric ignores the method's own setting."""
    import SimpleITK

    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
