"""Brain extraction by a deformable surface: BET (Smith 2002 [1]).

[1] https://doi.org/10.1002/hbm.10062
"""

from typing import final

import numpy as np
from jaxtyping import Bool, Float32

from joint_seg_cls.errors import require_valid
from joint_seg_cls.preprocess.bet_start import HEAD_SHARE, find_start
from joint_seg_cls.preprocess.bet_surface import Forces, Surface
from joint_seg_cls.preprocess.brain import plausible_brain
from joint_seg_cls.preprocess.scalp import remove_scalp, remove_skin
from joint_seg_cls.scan import Grid, Scan, resample

#: Lengths of the method in millimetres ([1], sections 2.3 and 2.4).
_D2_MM, _SMOOTH_FROM_MM, _SMOOTH_UNTIL_MM = 10.0, 3.33, 10.0
#: The brain is searched in voxels of this size.
_VOXEL_MM = 1.0
#: Minimum area of the head in a slice; smaller bright specks are above the head.
_LEAST_HEAD_MM2 = 2000.0
_REMEDY = (
    "give a brain mask in the column brain_mask, try another preprocess.brain.extractor.threshold= (0.3 to 0.7), "
    "or preprocess/brain=hd_bet"
)


@final
class Bet:
    """Grow a surface from the centre of the head until it reaches the surface of the brain, [1].

    The scan is resampled to 1 mm RAS+. The start and the forces are those of [2], with all vertices moved at once; the
    enclosed voxels are resampled to the scan's grid.
    Departs from [2]: the surface is pulled back where it leaves the image (there [2] reads memory outside the
    image); the mask is not shifted by one voxel along each axis (as by ``compute_mask``); if the field of view
    includes the neck, only the upper part is used.

    Args:
        threshold: fractional threshold, between 0 and 1 (exclusive); larger gives a smaller brain.
        iterations: number of steps of the surface.
        head_mm: maximum extent of the brain below the top of the head.
        search_mm: how far inwards each vertex searches for the darkest voxel (d1 in [1]). Where a wide ventricle lies
            within this distance of the surface of the brain, the surface stops short of the brain there.
        skin_mm: the brain lies at least this far below the skin; what the mask includes above is removed. ``None``
            removes nothing, as [1].
        scalp: brightness, relative to the brain's tissue, above which tissue at the surface of the mask is removed as
            scalp; ``None`` removes none, as [1].
        smallest_ml, largest_ml: a brain outside this range is refused as a failure.

    Raises:
        ConfigError: an argument out of range.
        ScanError: no plausible brain was found.

    [2] brainextractor, https://github.com/vanandrew/brainextractor
    """

    name = "bet"

    def __init__(
        self,
        threshold: int | float = 0.5,
        iterations: int = 1000,
        head_mm: int | float = 170.0,
        search_mm: int | float = 20.0,
        skin_mm: int | float | None = None,
        scalp: int | float | None = None,
        smallest_ml: int | float = 500.0,
        largest_ml: int | float = 2500.0,
    ) -> None:
        for key, fits, expected, found in (
            ("threshold", 0 < threshold < 1, "a number above 0 and below 1", threshold),
            ("iterations", iterations >= 1, "an integer of at least 1", iterations),
            ("head_mm", head_mm >= 50, "at least 50 mm", head_mm),
            ("search_mm", _D2_MM <= search_mm <= 50, "a number from 10 to 50", search_mm),
            ("skin_mm", skin_mm is None or 0 < skin_mm <= 15, "a number above 0 and at most 15, or null", skin_mm),
            ("scalp", scalp is None or scalp > 1, "a number above 1, or null", scalp),
            ("largest_ml", 0 < smallest_ml < largest_ml, f"more than smallest_ml ({smallest_ml:g})", largest_ml),
        ):
            require_valid(f"preprocess.brain.extractor.{key}", fits, expected, found)
        self.threshold = threshold
        self.iterations = iterations
        self.head_mm = head_mm
        self.search_mm = search_mm
        self.skin_mm = skin_mm
        self.scalp = scalp
        self.smallest_ml, self.largest_ml = smallest_ml, largest_ml

    def __call__(self, scan: Scan) -> Bool[np.ndarray, "x y z"]:
        """Return the brain on the grid of ``scan``."""
        grid = _isotropic(scan.grid)
        image = resample(scan.data, scan.grid, grid, linear=True)
        bottom = self._bottom(image)
        grid, image = grid.cropped((0, 0, bottom), grid.shape), np.ascontiguousarray(image[:, :, bottom:])
        mask = self._extract(image)
        if self.skin_mm is not None:
            mask = remove_skin(mask, image, _VOXEL_MM, self.skin_mm)
        native = resample(mask.astype(np.float32), grid, scan.grid, linear=True) > 0.5
        if self.scalp is not None:
            native = remove_scalp(native, scan.data, scan.grid, self.scalp)
        return plausible_brain(native, scan, smallest_ml=self.smallest_ml, largest_ml=self.largest_ml, remedy=_REMEDY)

    def _extract(self, image: Float32[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
        nothing = np.zeros(image.shape, dtype=bool)
        start = find_start(image)
        if start is None:
            return nothing
        surface = Surface(start.vertices, start.faces)
        forces = Forces(
            t2=start.t2,
            t=start.t,
            tm=start.tm,
            bt=self.threshold,
            d1=self.search_mm / _VOXEL_MM,
            d2=_D2_MM / _VOXEL_MM,
            smooth_from=_SMOOTH_FROM_MM / _VOXEL_MM,
            smooth_until=_SMOOTH_UNTIL_MM / _VOXEL_MM,
        )
        surface.evolve(image, forces, self.iterations)
        x, y, z = image.shape
        return surface.solid((x, y, z)) if surface.usable((x, y, z)) else nothing

    def _bottom(self, image: Float32[np.ndarray, "x y z"]) -> int:
        """Return the lowest slice within ``head_mm`` of the top of the head."""
        low, high = np.percentile(image[::2, ::2, ::2], (2, 98))
        area_mm2 = (image > low + HEAD_SHARE * (high - low)).sum(axis=(0, 1)) * _VOXEL_MM**2
        slices = np.flatnonzero(area_mm2 >= _LEAST_HEAD_MM2)
        top = int(slices[-1]) + 1 if slices.size else image.shape[2]
        return max(top - round(self.head_mm / _VOXEL_MM), 0)


def _isotropic(grid: Grid) -> Grid:
    """Return isotropic voxels over the field of view of ``grid``, axes RAS+."""
    canonical = grid.canonical()
    scale = _VOXEL_MM / np.array(canonical.spacing_mm)
    x, y, z = (max(round(n / step), 1) for n, step in zip(canonical.shape, scale, strict=True))
    change = np.diag([*scale, 1.0])
    change[:3, 3] = (np.array(canonical.shape) - 1) / 2 - scale * (np.array([x, y, z]) - 1) / 2
    return Grid((x, y, z), canonical.affine @ change)
