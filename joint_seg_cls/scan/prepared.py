"""The prepared store: one folder per case, written atomically and read by memory mapping.

::

    <store>/store.json            format, settings, classes, modalities, model shape; the cases, once all are prepared
    <store>/quality.tsv           quality measures, one row per case
    <store>/.verified.json        files whose checksums were verified
    <store>/<case>/case.json      subject, disease, geometry, provenance, quality measures, checksums
    <store>/<case>/image.npy      float32 (channels, x, y, z), model space, zero outside the brain
    <store>/<case>/brain_mask.npy           uint8 (x, y, z), model space
    <store>/<case>/lesion_mask.npy          uint8 (x, y, z), model space; absent without a reference
    <store>/<case>/lesion_mask_native.npz   the reference in the scan's own grid, packed; absent without a reference
    <store>/<case>/labels.npz               uint8 (x, y, z) by name, label maps of a simulated case; absent for scans
"""

import hashlib
import json
import operator
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from joint_seg_cls.errors import StoreError
from joint_seg_cls.scan.checksums import LABELS, RECORD, REMEDY, verify_once, verify_record
from joint_seg_cls.scan.grid import Geometry

#: Increased whenever the files of the store or the results of preprocessing change. A network is applied only to scans
#: of the format that it was trained on.
FORMAT = 2
#: Other files of a store; reserved names.
STORE_FILES = frozenset({"store.json", "quality.tsv", "audit.json", "splits"})
_REMEDY = "run `jsc prepare` again on this store"
_RESTORE = "restore it, or prepare the cohort again into another store="
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)


@final
@dataclass(frozen=True)
class PreparedCase:
    """One prepared scan. Arrays are opened on demand as copy-on-write memory maps: writing to one changes no file.

    ``checksums`` has one SHA-256 per file; it is empty if an earlier version prepared the case.
    """

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
    checksums: dict[str, str] = field(default_factory=dict)

    def image(self) -> Float32[np.ndarray, "c x y z"]:
        """Return the network's input: the modalities in model space, with normalised intensities."""
        return self._open("image.npy")

    def brain_mask(self) -> UInt8[np.ndarray, "x y z"]:
        """Return the brain mask in model space."""
        return self._open("brain_mask.npy")

    def lesion_mask(self) -> UInt8[np.ndarray, "x y z"] | None:
        """Return the reference in model space, or None if the scan has none."""
        return self._open("lesion_mask.npy") if self.has_lesion_mask else None

    def labels(self) -> dict[str, UInt8[np.ndarray, "x y z"]]:
        """Return the label maps of a simulated case by name, in model space; empty for scans."""
        path = self.folder / LABELS
        if not path.is_file():
            return {}
        try:
            with np.load(path) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except _DAMAGED as error:
            raise StoreError(path, expected="packed labels", found=type(error).__name__, remedy=REMEDY) from error

    def lesion_mask_native(self) -> Bool[np.ndarray, "x y z"] | None:
        """Return the reference in the scan's own grid, or None if the scan has none."""
        if not self.has_lesion_mask:
            return None
        shape = self.geometry.native.shape
        path = self.folder / "lesion_mask_native.npz"
        try:
            with np.load(path) as packed:
                return np.unpackbits(packed["bits"], count=int(np.prod(shape))).reshape(shape).astype(bool)
        except _DAMAGED as error:
            raise _not_an_array(path, error) from error

    def _open(self, name: str) -> np.ndarray:
        try:
            return np.load(self.folder / name, mmap_mode="c")
        except _DAMAGED as error:
            raise _not_an_array(self.folder / name, error) from error


@final
class PreparedStore:
    """All prepared cases of one cohort, in the order of their names.

    Raises:
        StoreError: the folder is not a prepared store, is empty, or was made by a version whose preprocessing
            gives other results; or the files of a case have changed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()
        record = read_record(self.path / "store.json")
        require_format(record, self.path)
        try:
            self.settings: dict[str, Any] = dict(record["settings"])
            self.classes: tuple[str, ...] = _words(record["classes"])
            self.modalities: tuple[str, ...] = _words(record["modalities"])
            x, y, z = (operator.index(side) for side in record["model_shape"])
            self.model_shape: tuple[int, int, int] = (x, y, z)
            self._names: tuple[str, ...] | None = None if record.get("cases") is None else _words(record["cases"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                self.path / "store.json",
                expected="the record as prepared",
                found="a damaged or edited one",
                remedy=_RESTORE,
            ) from error

    @cached_property
    def cases(self) -> tuple[PreparedCase, ...]:
        """All cases of the store, after verification of their files."""
        if not self._names:
            found = "an unfinished preparation" if self._names is None else "none"
            raise StoreError(self.path, expected="prepared cases", found=found, remedy=_REMEDY)
        cases = tuple(read_case(self.path / name) for name in self._names)
        verify_once(self.path, {case.case: (case.checksums, case.has_lesion_mask) for case in cases})
        return cases

    @cached_property
    def content_hash(self) -> str:
        """Fingerprint of the store: sources, settings, labels and further columns of every case."""
        facts = [
            [case.case, case.key, case.subject, case.session, case.disease, case.has_lesion_mask, case.columns]
            for case in self.cases
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def require_format(record: dict[str, Any], store: Path) -> None:
    """Refuse a store of a version whose preprocessing gives other results.

    Raises:
        StoreError: the record's format is not :data:`FORMAT`.
    """
    if record.get("format") != FORMAT:
        found = f"format {record['format']}" if "format" in record else "an older version"
        raise StoreError(
            store,
            expected=f"a prepared store of format {FORMAT}",
            found=found,
            remedy="prepare the cohort again into another store=",
        )


def read_record(path: Path) -> dict[str, Any]:
    """Read one of the store's JSON files.

    Raises:
        StoreError: the file is missing or is not a record.
    """
    remedy = REMEDY if path.name == RECORD else _RESTORE  # `jsc prepare` replaces no damaged store.json
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(
            path,
            expected="the record of a prepared store",
            found="no such file",
            remedy="make the store with `jsc prepare`",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        found = f"an unreadable file ({type(error).__name__})"
        raise StoreError(path, expected="the record of a prepared store", found=found, remedy=remedy) from error
    if not isinstance(record, dict):
        raise StoreError(path, expected="the record of a prepared store", found="other JSON", remedy=remedy)
    return record


def read_case(folder: Path) -> PreparedCase:
    """Read the record of one case; its arrays are opened on demand.

    Raises:
        StoreError: the record is missing, damaged or edited.
    """
    record = read_record(folder / RECORD)
    verify_record(folder, record)
    try:
        geometry = Geometry.from_json(record.pop("geometry"))
        case = PreparedCase(folder=folder, geometry=geometry, **record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise _not_a_case(folder) from error
    if not _is_typed(case):
        raise _not_a_case(folder)
    return case


def _is_typed(case: PreparedCase) -> bool:
    """Return whether the fields of a record read from disk have the right types."""
    columns = case.columns if isinstance(case.columns, dict) else {"": None}
    texts = (case.case, case.subject, case.key, case.session or "", case.disease or "", *columns, *columns.values())
    is_record = isinstance(case.provenance, dict) and isinstance(case.has_lesion_mask, bool)
    return is_record and all(isinstance(text, str) for text in texts)


def _words(items: Any) -> tuple[str, ...]:
    """Return a list of strings.

    Raises:
        TypeError: it is not a list of strings.
    """
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise TypeError(f"not a list of strings: {items!r:.80}")
    return tuple(items)


def _not_a_case(folder: Path) -> StoreError:
    return StoreError(
        folder / RECORD, expected="the record of a prepared case", found="a damaged or other record", remedy=REMEDY
    )


def _not_an_array(path: Path, error: Exception) -> StoreError:
    return StoreError(path, expected="a prepared array", found=type(error).__name__, remedy=REMEDY)
