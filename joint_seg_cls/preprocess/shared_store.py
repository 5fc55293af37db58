"""Several processes on one store: locks, the settings of the store, and its list of cases.

Locks (``<store>/.locks/``) are locks of the operating system, which releases those of a killed process. One lock
protects ``store.json``, and one per case protects its folder.
"""

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from joint_seg_cls.atomic_write import PARTIAL_FILES
from joint_seg_cls.errors import StoreError
from joint_seg_cls.preprocess.quality import write_quality
from joint_seg_cls.scan import PreparedCase, read_case, read_record, require_format, write_store_record
from joint_seg_cls.scan.checksums import ARRAYS, LABELS, RECORD, record_verified, stamps_of
from joint_seg_cls.scan.origin import FILES, checksums_of, require_listed_files

_LOCKS, _QUALITY = ".locks", "quality.tsv"
#: Entries of every store's record, and those that change while cases are prepared.
_ENTRIES, _CHANGING = ("settings", "classes", "modalities", "model_shape"), ("format", "cases", FILES)
_MOVE = "move it elsewhere to keep it, or choose another store="


def case_lock(store: Path, name: str, *, wait: bool = True) -> FileLock:
    """Return the lock on a case; entering it raises Timeout if another process holds it and ``wait`` is False."""
    (store / _LOCKS).mkdir(parents=True, exist_ok=True)
    return FileLock(store / _LOCKS / f"{name}.lock", timeout=-1 if wait else 0)


def _store_lock(store: Path) -> FileLock:
    return case_lock(store, ".store")  # case names never begin with a dot


def claim_store(store: Path, record: dict[str, Any]) -> None:
    """Create the store, or check that it has the same settings.

    Raises:
        CohortError: its record or table of quality is of other origin.
        StoreError: it contains other files, or was made with other settings or by an incompatible version.
        OSError: it is not writable.
    """
    if not store.is_dir() and any(path.is_file() for path in (store, *store.parents)):
        raise StoreError(store, expected="a folder", found="a file", remedy="choose another store=")
    names = {path.name for path in store.iterdir()} if store.is_dir() else set()
    if "store.json" not in names and any(name != _LOCKS and not fnmatch(name, PARTIAL_FILES) for name in names):
        raise StoreError(
            store, expected="an empty folder or a prepared store", found="other files", remedy="choose another store="
        )
    try:
        with _store_lock(store):
            require_listed_files(store / "store.json", _ENTRIES, [store / _QUALITY], _MOVE)
            if (store / "store.json").exists() and not _is_vacant(store):
                _refuse_other_settings(store, record)
            else:
                write_store_record(store, **record)
    except NotImplementedError as error:  # raised by the lock
        raise StoreError(
            store,
            expected="a disk with file locks",
            found="one without",
            remedy="choose a store= on another disk",
        ) from error


def _is_vacant(store: Path) -> bool:
    """Return whether the store has no case and none is being prepared, so that its settings may change."""
    if any((folder / "case.json").exists() for folder in store.iterdir()):
        return False
    try:
        for lock in (store / _LOCKS).glob("*.lock"):
            if lock.stem != ".store":
                with case_lock(store, lock.stem, wait=False):
                    pass
    except Timeout:
        return False
    return True


def _refuse_other_settings(store: Path, record: dict[str, Any]) -> None:
    existing = read_record(store / "store.json")
    require_format(existing, store)
    there, here = _flat(existing), _flat(json.loads(json.dumps(record)))
    names = [key for key in {**here, **there} if key not in _CHANGING and not key.startswith(f"{FILES}.")]
    differing = [key for key in names if there.get(key) != here.get(key)]
    if differing:
        raise StoreError(
            store,
            expected=f"a store made with {', '.join(f'{key} = {here.get(key)}' for key in differing)}",
            found=f"one made with {', '.join(f'{key} = {there.get(key)}' for key in differing)}",
            remedy="choose another store=, or delete this one",
        )


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def unlist_cases(store: Path) -> None:
    """Mark the store as unfinished before a case changes."""
    if "cases" in read_record(store / "store.json"):
        with _store_lock(store):
            record = read_record(store / "store.json")
            write_store_record(store, **{key: value for key, value in record.items() if key not in _CHANGING})


def list_cases(store: Path, record: dict[str, Any], keys: dict[str, str]) -> None:
    """Verify all cases, list them in the store, and write their quality measures."""
    with _store_lock(store):
        cases = [case_at(store / name) for name in sorted(keys)]
        foreign = [
            name for name, case in zip(sorted(keys), cases, strict=True) if case is None or case.key != keys[name]
        ]
        if foreign:
            raise StoreError(
                store,
                expected="the cases that were just prepared",
                found=f"others under the same names ({', '.join(foreign[:5])}), written by another process",
                remedy="prepare different tables into different stores",
            )
        write_quality([case for case in cases if case is not None], store / _QUALITY)
        record_verified(store, {name: stamps_of(store / name) for name in keys})  # just verified by preparing
        files = checksums_of(store, [store / _QUALITY])
        write_store_record(store, **record, cases=sorted(keys), files=files)


def require_own_folder(folder: Path) -> None:
    """Refuse to replace a case's folder that contains files of other origin.

    Raises:
        StoreError: it does, or is a file.
    """
    if not folder.exists():
        return
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else [""]
    for name in names:
        if name not in (RECORD, *ARRAYS, LABELS) and not fnmatch(name, PARTIAL_FILES):
            raise StoreError(
                folder / name,
                expected="a folder with the files of a prepared case alone",
                found="a file or folder of other origin that the case would replace",
                remedy=_MOVE,
            )


def case_at(folder: Path) -> PreparedCase | None:
    """Return the case in ``folder``, or None if there is no readable one."""
    try:
        return read_case(folder)
    except StoreError:
        return None  # absent, damaged or something else: prepared again
