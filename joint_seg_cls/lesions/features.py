"""Features of the lesions of one person: number, size, location and shape."""

import numpy as np
import pandas as pd
from jaxtyping import Bool
from scipy import ndimage

from joint_seg_cls.lesions.components import label_lesions
from joint_seg_cls.lesions.places import LOCATION_CLASSES, lesion_places
from joint_seg_cls.lesions.regions import Regions
from joint_seg_cls.scan.grid import bounding_box

#: Maximum volume of a punctate lesion: a ball of 5 mm.
PUNCTATE_ML = 0.065
#: Minimum volume of a cloud-like lesion outside the periventricular rim.
CLOUD_ML = 1.0
#: Minimum volume of a lesion for shape features.
SHAPED_ML = 0.03
#: Maximum volume of a lesion whose long axis is compared with the ventricular wall; larger ones are confluent.
SINGLE_ML = 3.0
#: Minimum ratio of the two longest axes of an elongated lesion.
ELONGATED = 1.5
#: Maximum distance and minimum length of a band along the ependyma.
BAND_DEPTH_MM, BAND_LENGTH_MM = 4.5, 9.0
#: Distance used if there is no lesion.
NOWHERE_MM = 100.0
INNER_VENTRICLES = ("third_ventricle", "fourth_ventricle", "aqueduct")


def region_features(mask: Bool[np.ndarray, "x y z"], regions: Regions) -> dict[str, float]:
    """Return about 180 finite features of the lesions of one person, on the template's grid.

    Load (``log_count``, ``log_volume_ml``), counts, fractions and volumes by class and by region, distances to
    ventricles and cortex, and shape: radial and wall-parallel periventricular lesions, bands along the ependyma,
    clouds, punctate lesions. Names and their order do not depend on the mask; an empty mask gives zero counts and
    distances of 100 mm.
    """
    table = lesion_places(mask, regions)
    total_ml = float(table["volume_ml"].sum())
    features = {
        "log_count": float(np.log1p(len(table))),
        "log_volume_ml": float(np.log(total_ml + 0.01)),
        "median_log_lesion_ml": _quantile(np.log(table["volume_ml"] + 1e-3), 0.5, np.log(1e-3)),
        "largest_share": _share(table["volume_ml"].max() if len(table) else 0.0, total_ml),
    }
    return features | _by_place(table) | _by_region(table, regions) | _distances(table) | _shapes(table, mask, regions)


def _by_place(table: pd.DataFrame) -> dict[str, float]:
    features, count, volume_ml = {}, len(table), float(table["volume_ml"].sum())
    for place in LOCATION_CLASSES:
        here = table[table["place"] == place]
        features[f"class_{place}/log_count"] = float(np.log1p(len(here)))
        features[f"class_{place}/share_of_count"] = _share(len(here), count)
        features[f"class_{place}/log_volume_ml"] = float(np.log(here["volume_ml"].sum() + 0.01))
        features[f"class_{place}/share_of_volume"] = _share(float(here["volume_ml"].sum()), volume_ml)
        features[f"class_{place}/median_log_lesion_ml"] = _quantile(np.log(here["volume_ml"] + 1e-3), 0.5, np.log(1e-3))
    return features


def _by_region(table: pd.DataFrame, regions: Regions) -> dict[str, float]:
    features, count, volume_ml = {}, len(table), float(table["volume_ml"].sum())
    for name in regions.masks:
        inside = table[f"in_{name}"]
        inside_ml = float((inside * table["volume_ml"]).sum())
        features[f"{name}/present"] = float((inside >= 0.3).any())
        features[f"{name}/log_count"] = float(np.log1p((inside >= 0.3).sum()))
        features[f"{name}/share_of_count"] = _share(int((inside >= 0.3).sum()), count)
        features[f"{name}/log_volume_ml"] = float(np.log(inside_ml + 0.003))
        features[f"{name}/share_of_volume"] = _share(inside_ml, volume_ml)
    return features


def _distances(table: pd.DataFrame) -> dict[str, float]:
    features = {}
    for name in ("lateral_ventricle", "third_ventricle", "fourth_ventricle", "aqueduct", "callosum", "cortex"):
        low, mean = table[f"min_{name}_mm"], table[f"mean_{name}_mm"]
        features[f"{name}/nearest_mm"] = _quantile(low, 0.0, NOWHERE_MM)
        features[f"{name}/median_mm"] = _quantile(mean, 0.5, NOWHERE_MM)
        features[f"{name}/touching"] = float(np.log1p((low <= 1.5).sum()))
        features[f"{name}/mean_by_volume_mm"] = (
            float(np.average(mean, weights=table["volume_ml"])) if len(table) else NOWHERE_MM
        )
    small = table[table["volume_ml"] <= PUNCTATE_ML]
    for axis in "xyz":
        along = small[f"centroid_{axis}_mm"]
        features[f"punctate/mean_{axis}_mm"] = (
            float((along.abs() if axis == "x" else along).mean()) if len(small) else 0.0
        )
    return features


def _shapes(table: pd.DataFrame, mask: np.ndarray, regions: Regions) -> dict[str, float]:
    shaped = table[table["volume_ml"] >= SHAPED_ML]
    wall = shaped[shaped["min_lateral_ventricle_mm"] <= 3.0]
    single = wall[(wall["volume_ml"] <= SINGLE_ML) & (wall["long_mm"] >= ELONGATED * wall["middle_mm"])]
    radial = _along_normal(single, regions)
    deepest_mm = _depth_mm(mask, table, regions)
    apart = table[table["min_lateral_ventricle_mm"] > 3.0]
    punctate = table[table["volume_ml"] <= PUNCTATE_ML]
    features = {
        "radial/count": float(np.log1p((radial > 0.8).sum())),
        "radial/mean_cosine": float(radial.mean()) if len(radial) else 0.0,
        "parallel/count": float(np.log1p((radial < 0.4).sum())),
        "wall/median_reach_mm": _quantile(wall["max_lateral_ventricle_mm"], 0.5, 0.0),
        "wall/largest_reach_mm": _quantile(wall["max_lateral_ventricle_mm"], 1.0, 0.0),
        "wall/median_fill": _quantile(wall["fill"], 0.5, 0.0),
        "wall/median_elongation": _quantile(wall["long_mm"] / wall["middle_mm"], 0.5, 0.0),
        "wall/mean_mm": _quantile(wall["mean_lateral_ventricle_mm"], 0.5, NOWHERE_MM),
        "punctate/log_count": float(np.log1p(len(punctate))),
        "punctate/share_of_count": _share(len(punctate), len(table)),
        "punctate/deep": float(np.log1p((punctate["place"] == "deep").sum())),
        "cloud/count": float(np.log1p((apart["volume_ml"] >= CLOUD_ML).sum())),
        "cloud/largest_log_ml": _quantile(np.log(apart["volume_ml"] + 1e-3), 1.0, np.log(1e-3)),
        "cloud/depth_mm": float(deepest_mm[apart.index].max()) if len(apart) else 0.0,
        "depth/largest_mm": float(deepest_mm.max()) if len(table) else 0.0,
        "depth/of_largest_mm": float(deepest_mm[table["volume_ml"].argmax()]) if len(table) else 0.0,
        "shape/median_fill": _quantile(shaped["fill"], 0.5, 0.0),
        "shape/median_elongation": _quantile(shaped["long_mm"] / shaped["middle_mm"], 0.5, 0.0),
        "shape/largest_elongation": _quantile(shaped["long_mm"] / shaped["middle_mm"], 1.0, 0.0),
        "shape/longest_mm": _quantile(shaped["long_mm"], 1.0, 0.0),
    }
    for name in ("lateral_ventricle", *INNER_VENTRICLES):
        band = shaped[(shaped[f"max_{name}_mm"] <= BAND_DEPTH_MM) & (shaped["long_mm"] >= BAND_LENGTH_MM)]
        features[f"{name}/bands"] = float(np.log1p(len(band)))
        features[f"{name}/band_length_mm"] = float(band["long_mm"].sum())
        features[f"{name}/band_share"] = _share(float(band["volume_ml"].sum()), float(table["volume_ml"].sum()))
    tract = shaped[(shaped["in_corticospinal_tract"] >= 0.4) & (shaped["long_mm"] >= 2 * shaped["middle_mm"])]
    features["corticospinal_tract/ribbon_mm"] = float(tract["long_mm"].sum())
    return features


def _along_normal(table: pd.DataFrame, regions: Regions) -> np.ndarray:
    """Return, for each lesion, the cosine between its long axis and the ventricular wall's normal at its centroid."""
    field, affine = regions.distance_mm["lateral_ventricle"], regions.grid.affine
    centroid = table[[f"centroid_{axis}_mm" for axis in "xyz"]].to_numpy(dtype=np.float64)
    index = np.round(np.linalg.solve(affine[:3, :3], (centroid - affine[:3, 3]).T)).astype(int)
    top = np.array(field.shape)[:, None] - 2
    index = np.clip(index, 1, top)
    step = np.eye(3, dtype=int)
    slope = np.stack(
        [field[tuple(index + step[a][:, None])] - field[tuple(index - step[a][:, None])] for a in range(3)], axis=1
    ).astype(np.float64)
    length = np.linalg.norm(slope, axis=1)
    direction = table[[f"direction_{axis}" for axis in "xyz"]].to_numpy(dtype=np.float64)
    return np.abs((slope * direction).sum(axis=1)) / np.where(length > 0, length, 1)


def _depth_mm(mask: np.ndarray, table: pd.DataFrame, regions: Regions) -> np.ndarray:
    """Return the largest distance to the border within each lesion, which is half its thickness."""
    deepest = np.zeros(len(table))
    if len(table):
        box = bounding_box(mask, 1)
        labels, _ = label_lesions(mask)
        depth = ndimage.distance_transform_edt(mask[box], sampling=regions.grid.spacing_mm)
        inside = labels[box] > 0
        np.maximum.at(deepest, labels[box][inside] - 1, depth[inside])
    return deepest


def _quantile(values: pd.Series, q: float, otherwise: float) -> float:
    return float(values.quantile(q)) if len(values) else float(otherwise)


def _share(part: int | float, whole: int | float) -> float:
    return float(part) / float(whole) if whole > 0 else 0.0
