"""Content of a folder before a prediction: finished findings are kept, and files of other origin are never replaced."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from joint_seg_cls.errors import CohortError, ScanError
from joint_seg_cls.scan.cells import SEPARATORS, read_written
from joint_seg_cls.scan.checksums import file_sha256
from joint_seg_cls.scan.finder import OUTPUTS, scan_files
from joint_seg_cls.scan.prediction_record import prediction_record

#: Table of all scans in a folder, and table of the scans that could not be predicted.
PREDICTIONS, FAILURES = "predictions.tsv", "failures.tsv"
#: First columns of these tables.
_COLUMNS = {PREDICTIONS: ["id", "scan"], FAILURES: ["id", "scan", "reason"]}


def finished(name: str, made_from: Mapping[str, Any], out: Path) -> dict[str, Any] | None:
    """Return the record of a scan that was predicted into ``out`` from the same content; None if there is none.

    Raises:
        ScanError: an output was changed since.
    """
    record = prediction_record(out / f"{name}.json")
    if record is None or record.get("made_from") != made_from:
        return None
    if not all((out / file).is_file() for file in record.get("files", ())):
        return None
    for file, expected in record.get("checksums", {}).items():  # records of earlier versions have none
        if checksum(out / file) != expected:
            raise ScanError(
                out / file,
                expected="the file that the prediction wrote",
                found="another content",
                remedy="move it to another folder to keep it, or add again=true to replace it",
            )
    return record


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file; empty if there is none."""
    return file_sha256(file) if file.is_file() else ""


def refuse_foreign_files(names: Iterable[str], out: Path) -> None:
    """Refuse to write over files that the program did not write: a scan's side-car, a manual mask, a table.

    Raises:
        CohortError: such a file exists.
    """
    if not out.is_dir():
        return
    for table in _COLUMNS:
        earlier_rows(out / table)
    ours = {remark.about for remark in scan_files(out, below=False).remarks}
    for name in names:
        record = out / f"{name}.json"
        has_record = prediction_record(record) is not None
        volumes = [file for end in OUTPUTS if (file := out / f"{name}{end}.nii.gz").exists() and file.name not in ours]
        table = out / f"{name}_lesions.tsv"
        foreign = [record] if record.exists() and not has_record else []
        foreign += volumes
        if table.exists() and not has_record and f"{name}_lesions.nii.gz" not in ours:  # of a killed prediction
            foreign.append(table)
        if foreign:
            raise _foreign(foreign[0])


def earlier_rows(table: Path) -> list[dict[Any, Any]]:
    """Return the rows of ``predictions.tsv`` or ``failures.tsv`` of an earlier prediction, if there is one.

    Raises:
        CohortError: the file is something else, or damaged.
    """
    if not table.exists():
        return []
    try:
        rows = read_written(table, SEPARATORS[table.suffix]).fillna("")
    except (OSError, ValueError) as error:
        raise _foreign(table) from error
    columns = _COLUMNS[table.name]
    if list(rows.columns)[: len(columns)] != columns or not isinstance(rows.index, pd.RangeIndex):  # longer rows
        raise _foreign(table)
    return rows.to_dict("records")


def _foreign(file: Path) -> CohortError:
    return CohortError(
        file,
        expected="no file, or what an earlier prediction wrote",
        found="a file of other origin that the prediction would replace, or a damaged one",
        remedy="name another folder with out=, or move this file",
    )
