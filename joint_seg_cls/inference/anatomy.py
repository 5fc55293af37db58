"""Anatomical locations of a scan's lesions: regions, their totals and criteria of MS, if the template fits the scan."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from joint_seg_cls.inference.field_of_view import cut_sides
from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.lesions import (
    REGION_COLUMNS,
    REGIONS,
    ScanAnatomy,
    cortex_to_white,
    criteria,
    lesion_regions,
    region_key,
    scan_anatomy,
)
from joint_seg_cls.preprocess import ModelInput, TemplateFit, register_to_template, tissue_brightness
from joint_seg_cls.scan import Geometry

#: Brains of other volumes are not registered.
_BRAIN_ML = (500.0, 2500.0)


class Located(NamedTuple):
    """Regions of the lesions of a scan.

    columns: ``region``, ``distance_to_ventricle_mm``, ``distance_to_cortex_mm``, one row per lesion, empty if withheld.
    record: ``registration`` (its quality, and why regions are withheld), ``regions`` (count and mL of lesions in each;
        null if withheld), ``criteria`` (see :mod:`~joint_seg_cls.lesions.criteria`).
    """

    columns: pd.DataFrame
    record: dict[str, Any]


class FittedAnatomy(NamedTuple):
    """The anatomy of a scan, where the template fits it.

    anatomy: None if regions are withheld.
    quality: of the registration; ``withheld`` is the reason for withholding regions, None if there is none.
    """

    anatomy: ScanAnatomy | None
    quality: dict[str, Any]

    @property
    def withheld(self) -> str | None:
        """Why regions are withheld; None if the template fits."""
        return self.quality["withheld"]


def fit_anatomy(
    image: Float32[np.ndarray, "c x y z"],
    brain_mask: Bool[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "i j k"],
    geometry: Geometry,
    brain_ml: float,
) -> FittedAnatomy:
    """Return the anatomy of a scan by affine registration of the template to the prepared image.

    Args:
        image: in model space; the first modality is registered.
        brain: in the scan's own grid.
    """
    if (withheld := _unsuitable(brain, geometry, brain_ml)) is not None:
        return FittedAnatomy(None, _quality(None, withheld))
    brightness = tissue_brightness(image[0], brain_mask)
    fit = None if brightness is None else register_to_template(brightness, geometry.model)
    if brightness is None or fit is None:
        return FittedAnatomy(None, _quality(None, "the scan cannot be compared with the template"))
    if fit.doubt is not None:
        return FittedAnatomy(None, _quality(fit, fit.doubt))
    place = (brightness, brain_mask, geometry.model, fit.to_template)
    anatomy = scan_anatomy(*place)
    measured = {"ventricle_ml": anatomy.ventricle_ml, "cortex_to_white": cortex_to_white(*place)}
    return FittedAnatomy(anatomy, _quality(fit, None) | measured)


def locate(prepared: ModelInput, found: Findings, table: pd.DataFrame) -> Located:
    """Return the regions of the lesions in ``table``; see :func:`fit_anatomy`."""
    native = prepared.geometry.native
    slice_mm = max(native.spacing_mm)
    fitted = fit_anatomy(prepared.image, prepared.brain_mask, prepared.brain, prepared.geometry, prepared.brain_ml)
    record: dict[str, Any] = {"registration": fitted.quality}
    if fitted.anatomy is None or found.lesions is None:
        nothing = pd.DataFrame(None, index=table.index, columns=list(REGION_COLUMNS), dtype=object)
        return Located(nothing, {**record, "regions": None, "criteria": _plain(None, slice_mm)})
    placed = table.join(lesion_regions(found.lesions, native, fitted.anatomy))
    record["regions"] = {
        region: {"count": len(here), "volume_ml": float(here["volume_ml"].sum())}
        for region in REGIONS
        for here in (placed[placed["region"] == region],)
    }
    return Located(placed[list(REGION_COLUMNS)], {**record, "criteria": _plain(placed, slice_mm)})


def columns_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a record in ``predictions.tsv``: count and mL by region, criteria; empty if withheld."""
    regions, answers = record.get("regions") or {}, record.get("criteria") or {}
    totals = {
        f"{region_key(region)}_{short}": regions.get(region, {}).get(name, "")
        for region in REGIONS
        for short, name in (("count", "count"), ("ml", "volume_ml"))
    }
    return totals | {name: answers.get(name, {}).get("value", "") for name in _plain(None, 1.0)}


def _unsuitable(brain: Bool[np.ndarray, "i j k"], geometry: Geometry, brain_ml: float) -> str | None:
    low, high = _BRAIN_ML
    if not low <= brain_ml <= high:
        return f"the brain has {brain_ml:.0f} mL, not {low:.0f} to {high:.0f}"
    sides = cut_sides(brain, geometry.native)
    return f"the brain is cut off at the {' and '.join(sides)} border of the image" if sides else None


def _quality(fit: TemplateFit | None, withheld: str | None) -> dict[str, Any]:
    return {**({} if fit is None else fit.to_json()), "withheld": withheld}


def _plain(table: pd.DataFrame | None, slice_mm: float) -> dict[str, dict[str, Any]]:
    found = {name: asdict(criterion) for name, criterion in criteria(table, slice_mm).items()}
    return {name: {**entry, "lesions": list(entry["lesions"])} for name, entry in found.items()}
