"""Location of each lesion: its class by distance to ventricle and cortex, and its fraction in every region."""

from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool

from joint_seg_cls.lesions.components import label_lesions, lesion_table
from joint_seg_cls.lesions.regions import JUXTACORTICAL_MM, PERIVENTRICULAR_MM, Regions

#: Location classes by priority: a lesion belongs to the first matching class.
LocationClass = Literal["infratentorial", "periventricular", "juxtacortical", "deep"]
LOCATION_CLASSES: tuple[LocationClass, ...] = get_args(LocationClass)


def lesion_places(mask: Bool[np.ndarray, "x y z"], regions: Regions) -> pd.DataFrame:
    """Return :func:`lesion_table` with the location of every lesion, for a mask on the template's grid.

    Classes, by priority: infratentorial (more than half of its voxels), periventricular (within 3 mm of a lateral
    ventricle), juxtacortical (within 1.5 mm of the cortex), deep.

    Returns:
        The columns of :func:`lesion_table`; ``place``; ``in_<region>`` (fraction of its voxels, 0..1);
        ``min_<region>_mm``, ``mean_<region>_mm`` and ``max_<region>_mm`` (distances of its voxels).
    """
    if mask.shape != regions.grid.shape:
        raise ValueError(f"the mask has shape {mask.shape}, the regions' grid {regions.grid.shape}")
    table = lesion_table(mask, regions.grid)
    labels, count = label_lesions(mask)
    flat = np.flatnonzero(labels)
    owner = labels.ravel()[flat] - 1
    for name, region in regions.masks.items():
        table[f"in_{name}"] = np.bincount(owner, region.ravel()[flat], count) / table["voxels"]
    for name, field in regions.distance_mm.items():
        distance = field.ravel()[flat].astype(np.float64)
        low, high = np.full(count, np.inf), np.zeros(count)
        np.minimum.at(low, owner, distance)
        np.maximum.at(high, owner, distance)
        table[f"min_{name}_mm"], table[f"max_{name}_mm"] = low, high
        table[f"mean_{name}_mm"] = np.bincount(owner, distance, count) / table["voxels"]
    table.insert(2, "place", _places(table))
    return table.copy()


def _places(table: pd.DataFrame) -> np.ndarray:
    meets = [
        table["in_infratentorial"] > 0.5,
        table["min_lateral_ventricle_mm"] <= PERIVENTRICULAR_MM,
        table["min_cortex_mm"] <= JUXTACORTICAL_MM,
    ]
    return np.select(meets, list(LOCATION_CLASSES[:3]), default=LOCATION_CLASSES[3]).astype(object)


def count_by_place(table: pd.DataFrame) -> dict[LocationClass, int]:
    """Count the lesions of each class in a table of :func:`lesion_places`."""
    return {place: int((table["place"] == place).sum()) for place in LOCATION_CLASSES}
