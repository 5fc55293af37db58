"""Reference and predicted lesions of one scan by anatomical region, in the scan's own grid."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from joint_seg_cls.lesions import REGIONS, Region, ScanAnatomy, label_lesions, lesion_regions, region_key
from joint_seg_cls.scan import Grid

#: Column of the reason for withholding regions; empty where the template fits the scan.
WITHHELD = "regions_withheld"
#: Counts by region, as :func:`region_columns` defines them.
COUNTS = ("lesions_reference", "lesions_detected", "lesions_predicted", "lesions_false")
#: Volumes by region.
VOLUMES = ("volume_reference", "volume_predicted")


def column(what: str, region: Region) -> str:
    """Return the column of one of ``COUNTS`` or ``VOLUMES`` for a region."""
    return f"{what}_{region_key(region)}{'_ml' if what in VOLUMES else ''}"


def region_columns(
    prediction: Bool[np.ndarray, "x y z"] | None,
    reference: Bool[np.ndarray, "x y z"] | None,
    grid: Grid,
    anatomy: ScanAnatomy | None,
) -> dict[str, float]:
    """Return counts and volumes of 26-connected lesions by region; NaN where they are unknown.

    * ``lesions_reference_<region>``, ``volume_reference_<region>_ml``: lesions of the reference, and their volume;
    * ``lesions_predicted_<region>``, ``volume_predicted_<region>_ml``: the same of the prediction;
    * ``lesions_detected_<region>``: of the reference, with at least one predicted voxel;
    * ``lesions_false_<region>``: of the prediction, without a voxel of the reference.

    A lesion is in one region as a whole. A predicted lesion may have another region than the one it detects.

    Args:
        reference: reference lesion mask; None if the scan has none.
        anatomy: of the scan; None if regions are withheld.
    """
    nothing = {column(what, region): np.nan for region in REGIONS for what in (*COUNTS, *VOLUMES)}
    if anatomy is None:
        return nothing
    known: dict[str, float] = {}
    sides = (("reference", "detected", reference, prediction), ("predicted", "false", prediction, reference))
    for side, subset, own, other in sides:
        if own is None:
            continue
        counts, volumes_ml, met = _by_region(own, other, grid, anatomy)
        for region in REGIONS:
            known[column(f"lesions_{side}", region)] = counts[region]
            known[column(f"volume_{side}", region)] = volumes_ml[region]
            if other is not None:
                found = met[region] if subset == "detected" else counts[region] - met[region]
                known[column(f"lesions_{subset}", region)] = found
    return nothing | known


def _by_region(
    own: Bool[np.ndarray, "x y z"], other: Bool[np.ndarray, "x y z"] | None, grid: Grid, anatomy: ScanAnatomy
) -> tuple[Mapping[Region, float], Mapping[Region, float], Mapping[Region, float]]:
    """Return the number of lesions of ``own``, their volume in mL, and the number that meet ``other``, by region."""
    labels, count = label_lesions(own)
    region = lesion_regions(own, grid, anatomy)["region"].to_numpy()
    volume_ml = np.bincount(labels.ravel(), minlength=count + 1)[1:] * grid.voxel_ml
    met = np.zeros(count) if other is None else np.bincount(labels[other], minlength=count + 1)[1:] > 0

    def total(values: Float[np.ndarray, " lesions"]) -> dict[Region, float]:
        return {name: float(values[region == name].sum()) for name in REGIONS}

    return total(np.ones(count)), total(volume_ml), total(met.astype(np.float64))
