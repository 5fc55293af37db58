"""The prepared store: one folder a case, written whole or not at all, read by memory mapping.

::

    <store>/store.json            format, settings, classes, modalities, model shape; the cases, once all are prepared
    <store>/quality.tsv           the quality figures of all cases, one row a case
    <store>/<case>/case.json      who, which disease, geometry, provenance and quality figures
    <store>/<case>/image.npy      float32 (channels, x, y, z), model space, zero outside the brain
    <store>/<case>/brain_mask.npy           uint8 (x, y, z), model space
    <store>/<case>/lesion_mask.npy          uint8 (x, y, z), model space; absent where the scan has no reference
    <store>/<case>/lesion_mask_native.npz   the reference in the scan's own grid, packed; absent likewise
    <store>/<case>/labels.npz               uint8 (x, y, z) by name, what a simulated image was drawn from; else absent
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from joint_seg_cls.errors import StoreError
from joint_seg_cls.scan.grid import Geometry
from joint_seg_cls.whole_file import write_json

#: Raised whenever the store's files change, or what preprocessing makes of the same scan and settings: stores of one
#: number may be mixed and trained on, and a network sees new scans as it saw those it was trained on.
FORMAT = 2
#: Hidden folders beside a case's own: while it is being written, and where the one that it replaces waits meanwhile.
PARTIAL_SUFFIXES = (".partial", ".replaced")
#: What lies beside the cases; no case may have one of these names.
STORE_FILES = frozenset({"store.json", "quality.tsv", "audit.json", "splits"})
_REMEDY = "run `jsc prepare` again on this store"


@final
@dataclass(frozen=True)
class PreparedCase:
    """One prepared scan. Arrays are opened on demand, read-only, without loading them into memory."""

    folder: Path
    case: str
    subject: str
    session: str | None
    disease: str | None
    has_lesion_mask: bool
    key: str
    geometry: Geometry
    columns: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def image(self) -> Float32[np.ndarray, "c x y z"]:
        """Return the network's input: the modalities in model space, their intensities scaled."""
        return self._open("image.npy")

    def brain_mask(self) -> UInt8[np.ndarray, "x y z"]:
        """Return the brain in model space."""
        return self._open("brain_mask.npy")

    def lesion_mask(self) -> UInt8[np.ndarray, "x y z"] | None:
        """Return the reference in model space, or None where the scan has none."""
        return self._open("lesion_mask.npy") if self.has_lesion_mask else None

    def labels(self) -> dict[str, UInt8[np.ndarray, "x y z"]]:
        """Return what a simulated image was drawn from, by name, in model space; nothing for scans."""
        path = self.folder / "labels.npz"
        if not path.is_file():
            return {}
        try:
            with np.load(path) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise StoreError(path, expected="packed labels", found=type(error).__name__, remedy=_REMEDY) from error

    def lesion_mask_native(self) -> Bool[np.ndarray, "x y z"] | None:
        """Return the reference in the scan's own grid, or None where the scan has none."""
        if not self.has_lesion_mask:
            return None
        shape = self.geometry.native.shape
        with np.load(self.folder / "lesion_mask_native.npz") as packed:
            return np.unpackbits(packed["bits"], count=int(np.prod(shape))).reshape(shape).astype(bool)

    def _open(self, name: str) -> np.ndarray:
        try:
            return np.load(self.folder / name, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(
                self.folder / name, expected="a prepared array", found=type(error).__name__, remedy=_REMEDY
            ) from error


@final
class PreparedStore:
    """All prepared cases of one cohort, in the order of their names.

    Raises:
        StoreError: the folder is no prepared store, or is empty, or was made by another version whose preprocessing
            gives other results; or a case's record cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()
        record = read_record(self.path / "store.json")
        require_format(record, self.path)
        self.settings: dict[str, Any] = record["settings"]
        self.classes: tuple[str, ...] = tuple(record["classes"])
        self.modalities: tuple[str, ...] = tuple(record["modalities"])
        x, y, z = record["model_shape"]
        self.model_shape: tuple[int, int, int] = (x, y, z)
        self._names: list[str] | None = record.get("cases")

    @cached_property
    def cases(self) -> tuple[PreparedCase, ...]:
        """Every case of the table that the store was made from."""
        if not self._names:
            found = "an unfinished preparation" if self._names is None else "none"
            raise StoreError(self.path, expected="prepared cases", found=found, remedy=_REMEDY)
        return tuple(read_case(self.path / name) for name in self._names)

    @cached_property
    def content_hash(self) -> str:
        """Fingerprint of what is in the store: sources, settings, labels and free columns of every case."""
        facts = [
            [case.case, case.key, case.subject, case.session, case.disease, case.has_lesion_mask, case.columns]
            for case in self.cases
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def require_format(record: dict[str, Any], store: Path) -> None:
    """Refuse a store that another version made, if preprocessing gives other results now.

    Raises:
        StoreError: the record's format is not :data:`FORMAT`.
    """
    if record.get("format") != FORMAT:
        found = f"format {record['format']}" if "format" in record else "one of an older version"
        raise StoreError(
            store,
            expected=f"a prepared store of format {FORMAT}",
            found=found,
            remedy="prepare the cohort again into another store=",
        )


def read_record(path: Path) -> dict[str, Any]:
    """Read one of the store's JSON files."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else f"an unreadable one ({error})"
        raise StoreError(
            path, expected="a prepared store's record", found=found, remedy="make the store with `jsc prepare`"
        ) from error


def read_case(folder: Path) -> PreparedCase:
    """Read the record of one case; its arrays are opened later."""
    record = read_record(folder / "case.json")
    geometry = Geometry.from_json(record.pop("geometry"))
    return PreparedCase(folder=folder, geometry=geometry, **record)


def write_store_record(
    store: Path,
    *,
    settings: dict[str, Any],
    classes: Sequence[str],
    modalities: Sequence[str],
    model_shape: Sequence[int],
    cases: Sequence[str] | None = None,
) -> None:
    """Write ``store.json``; without ``cases`` the store is unfinished and nobody trains on it. Atomic."""
    record: dict[str, Any] = {
        "format": FORMAT,
        "settings": settings,
        "classes": list(classes),
        "modalities": list(modalities),
        "model_shape": list(model_shape),
    }
    store.mkdir(parents=True, exist_ok=True)
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
    """Write one case in a folder beside its own and move it into place, so that a half-written case is never seen.

    One process at a time may write a case; what a killed one left is cleared away.
    """
    partial, replaced = (case.folder.with_name(f".{case.folder.name}{suffix}") for suffix in PARTIAL_SUFFIXES)
    for left in (partial, replaced):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    np.save(partial / "image.npy", image)
    np.save(partial / "brain_mask.npy", brain_mask.astype(np.uint8))
    if lesion_mask is not None and lesion_mask_native is not None:
        np.save(partial / "lesion_mask.npy", lesion_mask.astype(np.uint8))
        np.savez_compressed(partial / "lesion_mask_native.npz", bits=np.packbits(lesion_mask_native))
    if labels:
        np.savez_compressed(partial / "labels.npz", allow_pickle=False, **labels)
    write_json(partial / "case.json", _record(case))
    if case.folder.exists():
        case.folder.rename(replaced)
    partial.rename(case.folder)
    shutil.rmtree(replaced, ignore_errors=True)


def write_labels(case: PreparedCase) -> None:
    """Write a case's record again, its arrays being what they were. Atomic."""
    write_json(case.folder / "case.json", _record(case))


def _record(case: PreparedCase) -> dict[str, Any]:
    return {
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
