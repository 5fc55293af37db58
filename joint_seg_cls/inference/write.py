"""Output files of a prediction: masks and maps in the scan's own grid, a lesion table, a JSON record."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from joint_seg_cls.atomic_write import write_json
from joint_seg_cls.audit import check_scan
from joint_seg_cls.inference.familiarity import Ranges, unlike
from joint_seg_cls.inference.predictor import Findings
from joint_seg_cls.lesions import label_lesions, lesion_table
from joint_seg_cls.preprocess import ModelInput, warnings_of
from joint_seg_cls.scan import write_volume
from joint_seg_cls.scan.cells import write_table
from joint_seg_cls.scan.finder import prediction_record


def write_findings(
    name: str,
    prepared: ModelInput,
    found: Findings,
    out: Path,
    *,
    classes: list[str],
    model: dict[str, Any],
    intensities: Ranges | None = None,
) -> dict[str, Any]:
    """Write the results for one scan to ``out`` and return its record.

    Files: ``<name>_lesions.nii.gz`` (uint8), ``<name>_lesion-probability.nii.gz``, ``<name>_location-map.nii.gz``,
    ``<name>_lesions.tsv`` (one row per lesion), ``<name>.json`` (written last).

    Args:
        name: prefix of the files.
        prepared: the scan and its geometry.
        found: the findings in the scan's own grid.
        classes: names of the diseases in the order of their class codes.
        model: description of the network, for the record.
        intensities: range of the training images' quantiles; a scan far outside gets a warning.
    """
    out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"id": name, "scan": prepared.scan.path.name, "classes": classes}
    if found.disease_probability is not None:
        record["disease"] = classes[int(found.disease_probability.argmax())]
        record["disease_probability"] = dict(zip(classes, found.disease_probability.tolist(), strict=True))
    if found.lesion_probability is not None and found.lesions is not None:
        table = lesion_table(found.lesions, prepared.geometry.native)
        _, count = label_lesions(found.lesions)
        record["lesion_count"] = count
        record["lesion_volume_ml"] = float(found.lesions.sum()) * prepared.geometry.native.voxel_ml
        write_volume(out / f"{name}_lesions.nii.gz", found.lesions.astype(np.uint8), prepared.scan)
        write_volume(out / f"{name}_lesion-probability.nii.gz", found.lesion_probability, prepared.scan)
        write_table(table, out / f"{name}_lesions.tsv")
    if found.location_map is not None:
        write_volume(out / f"{name}_location-map.nii.gz", found.location_map, prepared.scan)
    record |= {"brain_volume_ml": prepared.brain_ml, "model": model, "preprocessing": prepared.figures}
    record["warnings"] = _warnings(name, prepared, record)
    if (sentence := unlike(prepared.image, intensities or {})) is not None:
        record["warnings"].append(sentence)
    record["use"] = "research only; not a medical device"
    write_json(out / f"{name}.json", record)
    return record


def write_predictions(records: list[dict[str, Any]], out: Path) -> None:
    """Write ``predictions.tsv``: one row per scan in ``out``, those of ``records`` first.

    Scans predicted into the folder earlier, or at the same time by another process, are read from their
    JSON records.
    """
    there = sorted(out.glob("*.json"))
    while True:  # repeat if another process added a record while the table was written
        _write_predictions(records, there, out)
        if (now := sorted(out.glob("*.json"))) == there:
            return
        there = now


def _write_predictions(records: list[dict[str, Any]], others: list[Path], out: Path) -> None:
    known = {record["id"] for record in records}
    earlier = [record for path in others if (record := prediction_record(path)) and record["id"] not in known]
    rows = [
        {
            "id": record["id"],
            "scan": record["scan"],
            "disease": record.get("disease", ""),
            **{f"p_{name}": value for name, value in record.get("disease_probability", {}).items()},
            "lesion_count": record.get("lesion_count", ""),
            "lesion_volume_ml": record.get("lesion_volume_ml", ""),
            "brain_volume_ml": record["brain_volume_ml"],
            "warnings": "; ".join(record["warnings"]),
        }
        for record in [*records, *earlier]
    ]
    write_table(pd.DataFrame(rows), out / "predictions.tsv")


def _warnings(name: str, prepared: ModelInput, record: dict[str, Any]) -> list[str]:
    audit = check_scan(name, prepared.scans, prepared.brain)
    warnings = [finding.statement for finding in audit if finding.severity != "note"] + warnings_of(prepared.figures)
    if record.get("lesion_count") == 0 and "disease" in record:
        warnings.append("no lesion was segmented; the diagnosis is not supported by one")
    return warnings
