"""Reference masks on a scan's grid: the true lesions, and the variation of another rater."""

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from joint_seg_cls.phantom.acquisition import Sampler
from joint_seg_cls.phantom.flair import within
from joint_seg_cls.phantom.raster import CONNECTED, DrawnLesions

#: Minimum volume of a lesion in the mask, also if it is thinner than half a voxel everywhere.
_SMALLEST_MM3 = 3.0
#: Variation of another rater's borders: standard deviation in filled fraction of a voxel, and correlation length.
_BORDER_SD, _BORDER_MM = 0.30, 4.0
#: Another rater misses a lesion of volume v with probability MISSED exp(-v / MISSED_MM3).
_MISSED, _MISSED_MM3 = 0.45, 40.0


def first_rater(
    drawn: DrawnLesions, sampler: Sampler, brain: Bool[np.ndarray, "x y z"], voxel_mm3: float
) -> tuple[Bool[np.ndarray, "x y z"], Float32[np.ndarray, "x y z"]]:
    """Return the reference mask and the lesion fraction of each voxel.

    The voxels with the highest fractions are selected until the mask has the lesions' volume; a lesion without any gets
    its voxels with the highest fractions.
    """
    share = sampler.average(drawn.mask.astype(np.float32))
    filled = np.flatnonzero(share > 0)
    chosen = np.zeros(share.size, dtype=bool)
    if filled.size:
        order = filled[np.argsort(-share[filled], kind="stable")]
        wanted = round(float(share.sum()))
        chosen[order[:wanted]] = True
        lost = _lost_lesions(drawn, sampler, filled, share, chosen, max(int(np.ceil(_SMALLEST_MM3 / voxel_mm3)), 1))
        chosen[order[max(wanted - lost.size, 0) : wanted]] = False
        chosen[lost] = True
        chosen[_lost_lesions(drawn, sampler, filled, share, chosen, 1)] = True
    return within(brain, chosen.astype(np.float32)) > 0, within(brain, share)


def _lost_lesions(
    drawn: DrawnLesions, sampler: Sampler, filled: np.ndarray, share: np.ndarray, chosen: np.ndarray, voxels: int
) -> np.ndarray:
    """Return the ``voxels`` voxels with the highest fractions of every lesion without ``chosen`` voxels."""
    lesions, count = ndimage.label(drawn.mask, CONNECTED)
    slices = sampler.nearest(lesions.astype(np.int32), filled)
    has_voxels = np.zeros(count + 1, dtype=bool)
    for labels in slices:
        has_voxels[labels[chosen[filled]]] = True
    added = []
    for lesion in np.flatnonzero(~has_voxels[1:]) + 1:
        own = filled[np.any([labels == lesion for labels in slices], axis=0)]
        added.append(own[np.argsort(-share[own], kind="stable")[:voxels]])
    return np.concatenate(added) if added else np.empty(0, dtype=int)


def another_rater(
    share: Float32[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> Bool[np.ndarray, "x y z"]:
    """Return a mask with other borders and without some of the small lesions."""
    sigma = [_BORDER_MM / spacing / 2 for spacing in spacing_mm]
    wander = ndimage.gaussian_filter(rng.standard_normal(share.shape, dtype=np.float32), sigma)
    wander *= _BORDER_SD / max(float(wander.std()), 1e-9)
    soft = ndimage.gaussian_filter(share, [0.5 / spacing for spacing in spacing_mm])
    mask = (soft + wander * (soft > 0.05) > 0.5) & brain & (soft > 0.05)
    labels, count = ndimage.label(mask, CONNECTED)
    volumes_mm3 = np.bincount(labels.ravel(), minlength=count + 1)[1:] * float(np.prod(spacing_mm))
    missed = rng.random(count) < _MISSED * np.exp(-volumes_mm3 / _MISSED_MM3)
    return mask & np.concatenate([[False], ~missed])[labels]
