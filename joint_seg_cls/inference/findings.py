"""Results of a network, or of several, for one image on one grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from joint_seg_cls.lesions import without_small
from joint_seg_cls.networks import summed_map
from joint_seg_cls.scan import Geometry


@final
@dataclass(frozen=True, eq=False)
class Findings:
    r"""Results for one scan, on one grid. A field that the variant does not produce is None.

    A sample is the output of one network for one view of the image (:data:`~joint_seg_cls.batch.Views`).

    lesion_probability: in [0, 1], the mean over samples.
    lesions: voxels with a probability at or above the threshold.
    location_map: contribution of each voxel to the score of the predicted class, :math:`\sum_i V_i^c` (Eq. 10, linear),
        the mean over samples.
    disease_probability: one value per class, summing to 1, at the networks' temperatures; the mean over samples.
    disagreement: standard deviation of the lesion probability over samples; None for a single sample.
    disease_disagreement: standard deviation of each class's probability over samples; None for a single sample.
    uncalibrated_probability: ``disease_probability`` at temperature 1.
    """

    lesion_probability: Float32[np.ndarray, "x y z"] | None
    lesions: Bool[np.ndarray, "x y z"] | None
    location_map: Float32[np.ndarray, "x y z"] | None
    disease_probability: Float[np.ndarray, " classes"] | None
    disagreement: Float32[np.ndarray, "x y z"] | None = None
    disease_disagreement: Float[np.ndarray, " classes"] | None = None
    uncalibrated_probability: Float[np.ndarray, " classes"] | None = None


class Samples(NamedTuple):
    """Outputs of one network for the views of an image, in the orientation of the image.

    lesion: lesion probability.
    disease: class probabilities at the network's temperature.
    uncalibrated: class probabilities at temperature 1.
    location: maps of Eq. 10 for every class, coarse to fine.
    """

    lesion: Float[Tensor, "n x y z"] | None
    disease: Float[Tensor, "n classes"] | None
    uncalibrated: Float[Tensor, "n classes"] | None
    location: tuple[Float[Tensor, "n classes _ _ _"], ...] | None


def combined(members: Sequence[Samples], size: Sequence[int], lesion_threshold: float) -> Findings:
    """Return mean and standard deviation (of the population) over all samples, each with the same weight.

    Args:
        members: the samples of each network.
    """
    lesion = _joined([member.lesion for member in members])
    disease = _joined([member.disease for member in members])
    probability = None if lesion is None else lesion.mean(dim=0).cpu().numpy()
    classes = _mean([disease])
    return Findings(
        lesion_probability=probability,
        lesions=None if probability is None else probability >= lesion_threshold,
        location_map=None if classes is None else _location(members, int(classes.argmax()), size),
        disease_probability=classes,
        disagreement=_spread(lesion),
        disease_disagreement=_spread(disease),
        uncalibrated_probability=_mean([member.uncalibrated for member in members]),
    )


def on_native_grid(
    findings: Findings, geometry: Geometry, *, lesion_threshold: float, least_lesion_mm3: float
) -> Findings:
    """Return findings on the scan's own grid: maps are resampled linearly, then the mask is thresholded."""
    probability, lesions = _to_native(findings.lesion_probability, geometry), None
    if probability is not None:
        lesions = without_small(probability >= lesion_threshold, least_lesion_mm3 / 1000 / geometry.native.voxel_ml)
    return Findings(
        probability,
        lesions,
        _to_native(findings.location_map, geometry),
        findings.disease_probability,
        _to_native(findings.disagreement, geometry),
        findings.disease_disagreement,
        findings.uncalibrated_probability,
    )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None


def _mean(parts: Sequence[Tensor | None]) -> np.ndarray | None:
    samples = _joined(parts)
    return None if samples is None else samples.mean(dim=0).cpu().numpy()


def _spread(samples: Tensor | None) -> np.ndarray | None:
    return None if samples is None or len(samples) == 1 else samples.std(dim=0, correction=0).cpu().numpy()


def _location(members: Sequence[Samples], shown_class: int, size: Sequence[int]) -> Float32[np.ndarray, "x y z"] | None:
    maps = [summed_map(member.location, shown_class, size) for member in members if member.location is not None]
    return torch.cat(maps).mean(dim=0).cpu().numpy() if maps else None


def _to_native(volume: Float32[np.ndarray, "x y z"] | None, geometry: Geometry) -> Float32[np.ndarray, "X Y Z"] | None:
    return None if volume is None else geometry.to_native(volume, linear=True).astype(np.float32)
