"""Checksums of prepared cases: damaged files are detected before use, and each version of a file is read once.

In ``case.json``, ``checksums`` has the SHA-256 of each array file and of the other entries of the record. The store's
``.verified.json`` records size and times of the files that were verified; only files that changed since are
verified again.
"""

import hashlib
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from joint_seg_cls.atomic_write import read_json, write_json
from joint_seg_cls.errors import StoreError
from joint_seg_cls.parallel import watched

_log = logging.getLogger(__name__)
RECORD = "case.json"
ARRAYS = ("image.npy", "brain_mask.npy", "lesion_mask.npy", "lesion_mask_native.npz")
#: Label maps from which simulated images are generated; scans have none.
LABELS = "labels.npz"
#: Entry of ``case.json``, and file in the store.
CHECKSUMS, VERIFIED = "checksums", ".verified.json"
REMEDY = "repeat the `jsc prepare` of this store, which prepares this case again"
#: Size and times of each file of a case.
Stamps = dict[str, list[int]]


def array_checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each array file of a case."""
    return {name: file_sha256(folder / name) for name in (*ARRAYS, LABELS) if (folder / name).exists()}


def record_checksum(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a case's record without its checksums."""
    rest = {key: value for key, value in record.items() if key != CHECKSUMS}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def verify_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Verify the checksum of a case's record, if it has one.

    Raises:
        StoreError: the record is damaged or was edited.
    """
    known = record.get(CHECKSUMS)
    if known is not None and (not isinstance(known, dict) or known.get(RECORD) != record_checksum(record)):
        raise _damaged(folder / RECORD, "a damaged or edited one")


def verify_arrays(folder: Path, checksums: Mapping[str, str], *, has_lesion_mask: bool) -> None:
    """Verify the checksums of a case's arrays; a case of an earlier version has none and is not verified.

    Raises:
        StoreError: a file is missing, truncated or changed.
    """
    labels = (LABELS,) if LABELS in checksums else ()
    for name in (*(ARRAYS if has_lesion_mask else ARRAYS[:2]), *labels):
        path = folder / name
        try:
            is_whole = file_sha256(path) == checksums.get(name) if checksums else _can_be_read(path)
        except OSError as error:
            raise _damaged(path, error.strerror or type(error).__name__) from error
        if not is_whole:
            raise _damaged(path, "a damaged or changed one")


def verify_once(store: Path, cases: Mapping[str, tuple[Mapping[str, str], bool]]) -> None:
    """Verify the arrays of cases whose files changed since the last verification.

    Args:
        cases: for each name, the checksums of the case and whether it has a lesion mask.

    Raises:
        StoreError: files are damaged; the message has the first one and the number of others.
    """
    known = read_json(store / VERIFIED)
    stamps = {name: stamps_of(store / name) for name in cases}  # before reading: later changes are detected
    changed = [name for name in cases if known.get(name) != stamps[name]]
    faults: list[StoreError] = []
    for name in watched(changed, total=len(changed), label="checksums"):
        checksums, has_lesion_mask = cases[name]
        try:
            verify_arrays(store / name, checksums, has_lesion_mask=has_lesion_mask)
        except StoreError as fault:
            faults.append(fault)
            del stamps[name]
    if changed:
        record_verified(store, known | stamps)
    if without := [name for name in changed if not cases[name][0]]:
        _log.info("%s: %d cases of an earlier version have no checksums; `jsc prepare` adds them", store, len(without))
    if faults:
        first, more = faults[0], f", and {len(faults) - 1} more cases" if len(faults) > 1 else ""
        raise StoreError(
            first.where,
            expected=first.expected,
            found=f"{first.found}{more}",
            remedy=REMEDY.replace("this case", "these cases") if more else REMEDY,
        )


def record_verified(store: Path, stamps: Mapping[str, Stamps]) -> None:
    """Record that the current files of these cases were verified."""
    try:
        write_json(store / VERIFIED, dict(stamps))
    except OSError as error:
        _log.info("%s is not writable (%s), so checksums are verified in each run", store, error.strerror)


def stamps_of(folder: Path) -> Stamps:
    """Return size and times (mtime, ctime) of the files of a case; ctime changes with any change of a file."""
    stamps: Stamps = {}
    for name in (RECORD, *ARRAYS):
        try:
            found = (folder / name).stat()
        except OSError:
            continue
        stamps[name] = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return stamps


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _can_be_read(path: Path) -> bool:
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        np.load(path, mmap_mode="r")
    except (ValueError, EOFError, zipfile.BadZipFile):
        return False
    return True


def _damaged(path: Path, found: str) -> StoreError:
    what = "record" if path.name == RECORD else "array"
    return StoreError(path, expected=f"a prepared {what}", found=found, remedy=REMEDY)
