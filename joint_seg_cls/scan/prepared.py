"""The prepared store: one folder a case, written whole or not at all, read by memory mapping.

::

    <store>/store.json            settings, classes, modalities, model shape; the cases, once all are prepared
    <store>/<case>/case.json      who, which disease, geometry, provenance
    <store>/<case>/image.npy      float32 (channels, x, y, z), model space, zero outside the brain
    <store>/<case>/brain_mask.npy           uint8 (x, y, z), model space
    <store>/<case>/lesion_mask.npy          uint8 (x, y, z), model space; absent where the scan has no reference
    <store>/<case>/lesion_mask_native.npz   the reference in the scan's own grid, packed; absent likewise
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from joint_seg_cls.errors import StoreError
from joint_seg_cls.scan.grid import Geometry

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
        """Return the network's input: z-scored modalities in model space."""
        return self._open("image.npy")

    def brain_mask(self) -> UInt8[np.ndarray, "x y z"]:
        """Return the brain in model space."""
        return self._open("brain_mask.npy")

    def lesion_mask(self) -> UInt8[np.ndarray, "x y z"] | None:
        """Return the reference in model space, or None where the scan has none."""
        return self._open("lesion_mask.npy") if self.has_lesion_mask else None

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
        StoreError: the folder is no prepared store, or is empty, or a case's record cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        record = read_record(self.path / "store.json")
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
        """Fingerprint of what is in the store: sources and settings of every case."""
        text = json.dumps([[case.case, case.key, case.disease, case.has_lesion_mask] for case in self.cases])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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


def write_case(
    case: PreparedCase,
    *,
    image: Float32[np.ndarray, "c x y z"],
    brain_mask: Bool[np.ndarray, "x y z"],
    lesion_mask: Bool[np.ndarray, "x y z"] | None,
    lesion_mask_native: Bool[np.ndarray, "X Y Z"] | None,
) -> None:
    """Write one case in a folder beside its own and move it into place, so that a half-written case is never seen."""
    partial = case.folder.with_name(f".{case.folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    np.save(partial / "image.npy", image)
    np.save(partial / "brain_mask.npy", brain_mask.astype(np.uint8))
    if lesion_mask is not None and lesion_mask_native is not None:
        np.save(partial / "lesion_mask.npy", lesion_mask.astype(np.uint8))
        np.savez_compressed(partial / "lesion_mask_native.npz", bits=np.packbits(lesion_mask_native))
    record = {
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
    (partial / "case.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    shutil.rmtree(case.folder, ignore_errors=True)
    partial.rename(case.folder)
