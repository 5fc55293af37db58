"""Output files of a prediction: masks and maps in the scan's own grid, lesion tables, JSON records."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from joint_seg_cls.atomic_write import nan_as_null, write_json
from joint_seg_cls.inference.anatomy import columns_of
from joint_seg_cls.inference.case import CaseFindings
from joint_seg_cls.inference.existing import FAILURES, PREDICTIONS, checksum, earlier_rows
from joint_seg_cls.scan import write_volume
from joint_seg_cls.scan.cells import without_folders, write_table
from joint_seg_cls.scan.prediction_record import is_damaged_record, prediction_record

_log = logging.getLogger(__name__)


def write_findings(case: CaseFindings, out: Path) -> dict[str, Any]:
    """Write the results for one scan to ``out`` and return its record with ``files`` and their ``checksums``.

    Files: ``<name>_lesions.nii.gz`` (uint8), ``<name>_lesion-probability.nii.gz``, ``<name>_disagreement.nii.gz``,
    ``<name>_location-map.nii.gz``, ``<name>_grad-cam.nii.gz``, ``<name>_lesions.tsv`` (one row per lesion),
    ``<name>.json`` (written last).
    """
    out.mkdir(parents=True, exist_ok=True)
    found, written = case.maps, []
    volumes = {
        "lesions": None if found.lesions is None else found.lesions.astype(np.uint8),
        "lesion-probability": found.lesion_probability,
        "disagreement": found.disagreement,
        "location-map": found.location_map,
        "grad-cam": case.grad_cam,
    }
    for what, volume in volumes.items():
        file = out / f"{case.name}_{what}.nii.gz"
        if volume is None:
            file.unlink(missing_ok=True)  # of an earlier prediction, which this one replaces
        else:
            write_volume(file, volume, case.prepared.scan)
            written.append(file.name)
    if case.lesion_table is not None:
        write_table(case.lesion_table, out / f"{case.name}_lesions.tsv")
        written.append(f"{case.name}_lesions.tsv")
    checksums = {name: checksum(out / name) for name in written}
    record = nan_as_null({**case.record, "files": written, "checksums": checksums})
    write_json(out / f"{case.name}.json", record)
    return record


def write_predictions(records: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write ``predictions.tsv``: one row per scan in ``out``, those of ``records`` first.

    Scans predicted into the folder earlier, or at the same time by another process, are read from their JSON records.
    """
    there = sorted(out.glob("*.json"))
    for path in filter(is_damaged_record, there):
        _log.warning("%s: damaged record of a prediction, left out of %s; delete it", path, PREDICTIONS)
    while True:  # repeat if another process added a record while the table was written
        _write_predictions(records, there, out)
        if (now := sorted(out.glob("*.json"))) == there:
            return
        there = now


def write_failures(failures: Sequence[Mapping[str, str]], out: Path) -> None:
    """Write ``failures.tsv``: ``id``, ``scan`` and ``reason`` of each scan that could not be predicted.

    Scans of an earlier table that have a record now are dropped; without any failure there is no table.
    """
    file = out / FAILURES
    earlier = earlier_rows(file)
    known = {failure["id"] for failure in failures}
    rows = [{**failure, "reason": without_folders(failure["reason"])} for failure in failures]
    rows += [row for row in earlier if row["id"] not in known and prediction_record(out / f"{row['id']}.json") is None]
    if rows:
        write_table(pd.DataFrame(rows), file)
    else:
        file.unlink(missing_ok=True)


def _write_predictions(records: Sequence[Mapping[str, Any]], others: list[Path], out: Path) -> None:
    known = {record["id"] for record in records}
    earlier = [record for path in others if (record := prediction_record(path)) and record["id"] not in known]
    rows = [
        {
            "id": record["id"],
            "scan": record["scan"],
            "disease": record.get("disease", ""),
            "diagnosis": record.get("diagnosis", ""),
            "reasons": "; ".join(record.get("reasons", ())),
            **{f"p_{name}": value for name, value in record.get("disease_probability", {}).items()},
            "lesion_count": record.get("lesion_count", ""),
            "lesion_volume_ml": record.get("lesion_volume_ml", ""),
            "brain_volume_ml": record["brain_volume_ml"],
            "trust_grade": (record.get("trust") or {}).get("grade") or "",
            **columns_of(record),
            "warnings": "; ".join(record["warnings"]),
        }
        for record in [*records, *earlier]
    ]
    write_table(pd.DataFrame(rows), out / PREDICTIONS)
