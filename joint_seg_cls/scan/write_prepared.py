"""Atomic writes of prepared cases and of the store's record."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from joint_seg_cls.atomic_write import atomic_folder, nan_as_null, write_json
from joint_seg_cls.scan.checksums import CHECKSUMS, LABELS, RECORD, array_checksums, record_checksum
from joint_seg_cls.scan.origin import FILES
from joint_seg_cls.scan.prepared import FORMAT, PreparedCase


def write_store_record(
    store: Path,
    *,
    settings: dict[str, Any],
    classes: Sequence[str],
    modalities: Sequence[str],
    model_shape: Sequence[int],
    cases: Sequence[str] | None = None,
    files: Mapping[str, str] | None = None,
) -> None:
    """Write ``store.json``; without ``cases`` the store is unfinished and cannot be used for training. Atomic.

    ``files`` are the checksums of tables in the store.
    """
    record: dict[str, Any] = {
        "format": FORMAT,
        "settings": settings,
        "classes": list(classes),
        "modalities": list(modalities),
        "model_shape": list(model_shape),
    }
    store.mkdir(parents=True, exist_ok=True)
    record |= {} if files is None else {FILES: dict(files)}
    write_json(store / "store.json", record if cases is None else record | {"cases": sorted(cases)})


def write_case(
    case: PreparedCase,
    *,
    image: Float32[np.ndarray, "c x y z"],
    brain_mask: Bool[np.ndarray, "x y z"],
    lesion_mask: Bool[np.ndarray, "x y z"] | None,
    lesion_mask_native: Bool[np.ndarray, "X Y Z"] | None,
    labels: Mapping[str, UInt8[np.ndarray, "x y z"]] | None = None,
) -> None:
    """Write one case to a temporary folder and move it into place, so that no partial case is visible.

    Only one process at a time may write a case.
    """
    with atomic_folder(case.folder) as partial:
        np.save(partial / "image.npy", image)
        np.save(partial / "brain_mask.npy", brain_mask.astype(np.uint8))
        if lesion_mask is not None and lesion_mask_native is not None:
            np.save(partial / "lesion_mask.npy", lesion_mask.astype(np.uint8))
            np.savez_compressed(partial / "lesion_mask_native.npz", bits=np.packbits(lesion_mask_native))
        if labels:
            np.savez_compressed(partial / LABELS, allow_pickle=False, **labels)
        write_json(partial / RECORD, _record(case, array_checksums(partial)))


def write_labels(case: PreparedCase) -> None:
    """Rewrite the record of a case whose arrays are unchanged. Atomic."""
    write_json(case.folder / RECORD, _record(case, case.checksums or array_checksums(case.folder)))


def _record(case: PreparedCase, checksums: dict[str, str]) -> dict[str, Any]:
    record = nan_as_null(
        {
            "case": case.case,
            "subject": case.subject,
            "session": case.session,
            "disease": case.disease,
            "has_lesion_mask": case.has_lesion_mask,
            "key": case.key,
            "geometry": case.geometry.to_json(),
            "columns": case.columns,
            "provenance": case.provenance,
        }
    )
    return record | {CHECKSUMS: {**checksums, RECORD: record_checksum(record)}}
