"""Whether a scan is like those that a network was trained on: intensities, voxel size, brain volume, name of its file.

Of the intensities, quartiles and the 95th percentile of the prepared image inside the brain are compared. The median of
a T1 is 17 % or more below its mode, that of a FLAIR within 10 %.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Float

#: Quantiles that are compared.
QUANTILES = (0.25, 0.5, 0.75, 0.95)
#: Share of the training images inside the recorded range, and by which share of its width a scan may leave it.
_INSIDE, _TOLERANCE = 0.95, 0.5
#: Tolerance beyond each end of the range of voxel size or brain volume, as a share of that end.
_LEAST_TOLERANCE = 0.25
#: Entries of the range of scans, with their names and units in sentences.
_MEASURES = {
    "shortest_mm": ("the shortest voxel side", "mm"),
    "longest_mm": ("the longest voxel side", "mm"),
    "brain_ml": ("the brain volume", "mL"),
}
#: Brightness of cortex relative to white matter below which a scan is no FLAIR. Nine real FLAIR have 0.94 to 1.16,
#: three real T1 0.84 to 0.88.
_LEAST_CORTEX = 0.91
#: Words in names of files that are no FLAIR.
_NOT_FLAIR = frozenset(
    ("t1", "t1w", "t1c", "t1ce", "t1gd", "mprage", "mp2rage", "t2w", "t2star", "pdw", "dwi", "adc", "swi")
)

#: Lowest and highest value of a measure, by its name; a quantile's name is the quantile as text.
Ranges = Mapping[str, tuple[float, float]]


@final
@dataclass(frozen=True)
class TrainingScans:
    """What a checkpoint records of its training scans.

    Args:
        intensities: of :func:`ranges_of`; empty where not recorded.
        ranges: of :func:`scan_ranges`; empty where not recorded.
        lesion_free: classes for which most training scans have no lesion.
        modality: name of the first modality.
    """

    intensities: Ranges = field(default_factory=dict)
    ranges: Ranges = field(default_factory=dict)
    lesion_free: Sequence[str] = ()
    modality: str = ""

    def differences(
        self, image: Float[np.ndarray, "c x y z"], spacing_mm: Sequence[float], brain_ml: float, file_name: str = ""
    ) -> list[str]:
        """Return a sentence for each measure in which a scan differs from them.

        Args:
            spacing_mm: sides of a voxel of the scan as read.
            file_name: of the first modality.
        """
        sentences = [unlike(image, self.intensities), _other_modality(file_name) if self.modality == "flair" else None]
        return [*filter(None, sentences), *unlike_scan(spacing_mm, brain_ml, self.ranges)]

    def dark_cortex(self, cortex_to_white: float | None) -> list[str]:
        """Return a sentence if a scan that should be a FLAIR has darker cortex than white matter, as a T1 has."""
        if self.modality != "flair" or cortex_to_white is None or cortex_to_white >= _LEAST_CORTEX:
            return []
        ratio = f"{cortex_to_white:.2f} of the brightness of white matter"
        return [f"the cortex has {ratio}, as on a T1; check that the scan is a FLAIR"]


def quantiles_of(image: Float[np.ndarray, "c x y z"]) -> dict[str, float]:
    """Return the quantiles of the first channel inside the brain, where it is not 0; none of an empty image."""
    values = image[0][image[0] != 0]
    if not values.size:
        return {}
    return dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True))


def ranges_of(images: Iterable[Float[np.ndarray, "c x y z"]]) -> dict[str, tuple[float, float]]:
    """Return the range of each quantile over training images, without the 2.5 % at either end."""
    return _ranges([found for image in images if (found := quantiles_of(image))])


def scan_ranges(scans: Iterable[tuple[Sequence[float], float]]) -> dict[str, tuple[float, float]]:
    """Return the range of voxel size and brain volume over training scans, without the 2.5 % at either end.

    Args:
        scans: the voxel's sides in mm and the brain volume in mL of each scan.
    """
    return _ranges([_measured(spacing_mm, brain_ml) for spacing_mm, brain_ml in scans])


def unlike(image: Float[np.ndarray, "c x y z"], ranges: Ranges) -> str | None:
    """Return a sentence if a quantile of ``image`` lies far outside the range of the training images, else None."""
    for name, value in quantiles_of(image).items():
        if name not in ranges:
            continue
        low, high = ranges[name]
        margin = _TOLERANCE * (high - low)
        if not low - margin <= value <= high + margin:
            return (
                f"intensities unlike those of the training images: quantile {name} of the brain is {value:.2f}, "
                f"in training {low:.2f} to {high:.2f}; check that the scan is a FLAIR"
            )
    return None


def _other_modality(file_name: str) -> str | None:
    """Return a sentence if a word of a file's name is that of another modality, and none has FLAIR in it."""
    words = re.split(r"[^a-z0-9]+", file_name.lower())
    other = next((word for word in words if word in _NOT_FLAIR), None)
    if other is None or any("flair" in word for word in words):
        return None
    return f"the file is named as {other.upper()}; check that the scan is a FLAIR"


def unlike_scan(spacing_mm: Sequence[float], brain_ml: float, ranges: Ranges) -> list[str]:
    """Return a sentence for each of voxel size and brain volume that lies far outside the range of the training scans.

    Far outside: by more than half of the range's width and by more than a quarter of its nearer end.
    """
    sentences = []
    for name, value in _measured(spacing_mm, brain_ml).items():
        if name not in ranges:
            continue
        low, high = ranges[name]
        margin = _TOLERANCE * (high - low)
        if (
            not min(low - margin, (1 - _LEAST_TOLERANCE) * low)
            <= value
            <= max(high + margin, (1 + _LEAST_TOLERANCE) * high)
        ):
            what, unit = _MEASURES[name]
            here, least, most = (f"{each:.0f}" if each >= 100 else f"{each:.3g}" for each in (value, low, high))
            sentences.append(f"{what} is {here} {unit}, in training {least} to {most} {unit}")
    return sentences


def _measured(spacing_mm: Sequence[float], brain_ml: float) -> dict[str, float]:
    return dict(zip(_MEASURES, (float(min(spacing_mm)), float(max(spacing_mm)), float(brain_ml)), strict=True))


def _ranges(measured: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    if not measured:
        return {}
    table = np.array([list(each.values()) for each in measured])
    ends = np.quantile(table, [(1 - _INSIDE) / 2, (1 + _INSIDE) / 2], axis=0)
    return {name: (float(low), float(high)) for name, (low, high) in zip(measured[0], ends.T, strict=True)}
