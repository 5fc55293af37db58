"""Where the lesions of a scan lie: regions, their totals and criteria of MS, if the template fits the scan."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import pandas as pd

from joint_seg_cls.inference.field_of_view import cut_sides
from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.lesions import REGION_COLUMNS, REGIONS, criteria, lesion_regions, scan_anatomy
from joint_seg_cls.preprocess import ModelInput, TemplateFit, register_to_template, tissue_brightness

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


def locate(prepared: ModelInput, found: Findings, table: pd.DataFrame) -> Located:
    """Return the regions of the lesions in ``table``, by affine registration of the template to the prepared image."""
    native = prepared.geometry.native
    slice_mm = max(native.spacing_mm)
    brightness = tissue_brightness(prepared.image[0], prepared.brain_mask)
    fit = None
    withheld = _unsuitable(prepared)
    if withheld is None:
        fit = None if brightness is None else register_to_template(brightness, prepared.geometry.model)
        withheld = "the scan cannot be compared with the template" if fit is None else fit.doubt
    record: dict[str, Any] = {"registration": _quality(fit, withheld)}
    if withheld is not None or fit is None or brightness is None or found.lesions is None:
        nothing = pd.DataFrame(None, index=table.index, columns=list(REGION_COLUMNS), dtype=object)
        return Located(nothing, {**record, "regions": None, "criteria": _plain(None, slice_mm)})
    anatomy = scan_anatomy(brightness, prepared.brain_mask, prepared.geometry.model, fit.to_template)
    record["registration"]["ventricle_ml"] = anatomy.ventricle_ml
    placed = table.join(lesion_regions(found.lesions, native, anatomy))
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
        f"{region.replace(' ', '_')}_{short}": regions.get(region, {}).get(name, "")
        for region in REGIONS
        for short, name in (("count", "count"), ("ml", "volume_ml"))
    }
    return totals | {name: answers.get(name, {}).get("value", "") for name in _plain(None, 1.0)}


def _unsuitable(prepared: ModelInput) -> str | None:
    low, high = _BRAIN_ML
    if not low <= prepared.brain_ml <= high:
        return f"the brain has {prepared.brain_ml:.0f} mL, not {low:.0f} to {high:.0f}"
    sides = cut_sides(prepared.brain, prepared.scan.grid)
    return f"the brain is cut off at the {' and '.join(sides)} border of the image" if sides else None


def _quality(fit: TemplateFit | None, withheld: str | None) -> dict[str, Any]:
    return {**({} if fit is None else fit.to_json()), "withheld": withheld}


def _plain(table: pd.DataFrame | None, slice_mm: float) -> dict[str, dict[str, Any]]:
    found = {name: asdict(criterion) for name, criterion in criteria(table, slice_mm).items()}
    return {name: {**entry, "lesions": list(entry["lesions"])} for name, entry in found.items()}
