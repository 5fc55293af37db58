"""Preparing a cohort into a store: parallel, resumable, by several processes at once."""

import hashlib
import json
import logging
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

from filelock import Timeout

from joint_seg_cls.atomic_write import clear_partial
from joint_seg_cls.errors import CohortError, InputError, ScanError, StoreError, enough_memory, examples
from joint_seg_cls.parallel import over_processes
from joint_seg_cls.preprocess.disk import refuse_too_little_space
from joint_seg_cls.preprocess.pipeline import Pipeline
from joint_seg_cls.preprocess.shared_store import (
    case_at,
    case_lock,
    claim_store,
    list_cases,
    require_own_folder,
    unlist_cases,
)
from joint_seg_cls.scan import FORMAT, CohortCase, PreparedCase, PreparedStore, write_labels
from joint_seg_cls.scan.checksums import verify_arrays

_log = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Prepared:
    """Counts of the cohort's rows: ``new`` were prepared, ``kept`` already existed, some with other labels."""

    store: PreparedStore
    new: int
    kept: int


@final
@dataclass(frozen=True)
class _Done:
    """Result of a worker for one row; arrays stay on disk."""

    key: str
    is_new: bool


def prepare_cohort(
    rows: Sequence[CohortCase],
    store: Path,
    pipeline: Pipeline,
    *,
    settings: dict[str, Any],
    classes: Sequence[str],
    modalities: Sequence[str],
    workers: int,
) -> Prepared:
    """Prepare every row, skipping valid cases with the same files and settings; then list all cases.

    An invalid case does not stop the others. The store can be used for training only when every row is prepared.
    Several processes may prepare the same cohort into one store at the same time: they share the work.

    Raises:
        StoreError: the store was made with other settings, or by an incompatible version; the disk is too
            small; another process wrote other scans under the same names.
        InputError: files of a row are invalid (the error itself, or the names of several; each is logged).
        OSError: the disk is full or read-only.
    """
    shape = pipeline.layout.model_shape
    record = {
        "settings": settings,
        "classes": list(classes),
        "modalities": list(modalities),
        "model_shape": list(shape),
    }
    claim_store(store, record)
    clear_partial(store, below=True)
    missing = sum(not (store / row.case).is_dir() for row in rows)
    refuse_too_little_space(store, missing, channels=len(modalities), shape=shape)
    work = partial(_prepare_one, pipeline=pipeline, store=store, settings=settings)
    done, failures = _over_rows(work, rows, store, workers)
    if failures:
        raise _together(failures, len(rows), store)
    list_cases(store, record, {name: found.key for name, found in done.items()})
    new = sum(found.is_new for found in done.values())
    return Prepared(PreparedStore(store), new=new, kept=len(rows) - new)


def case_key(row: CohortCase, settings: dict[str, Any]) -> str:
    """Return a hash of all that the arrays of a case depend on: content of its files, settings and format."""
    digest = hashlib.sha256(json.dumps([FORMAT, settings], sort_keys=True).encode())
    for path in (*row.images, row.brain_mask, *row.lesion_masks):
        digest.update(bytes(32) if path is None else _content(path))
    return digest.hexdigest()[:32]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise ScanError(path, expected="a readable file", found=found, remedy="change its permissions") from error


def _over_rows(
    work: partial[_Done | None], rows: Sequence[CohortCase], store: Path, workers: int
) -> tuple[dict[str, _Done], list[InputError]]:
    """Prepare the rows that no other process prepares, then wait for the others and prepare what they left."""
    done: dict[str, _Done] = {}
    failures: list[InputError] = []
    waiting = list(rows)
    for wait in (False, True):
        todo, waiting = waiting, []
        if wait and todo:
            _log.info("%s: another process is preparing %d of these scans; waiting for it", store, len(todo))
        try:
            for row, result in over_processes(partial(work, wait=wait), todo, workers=workers, label="prepare"):
                if isinstance(result, InputError):
                    result.drop_frames()
                    failures.append(result)
                elif isinstance(result, Exception):
                    raise result
                elif result is None:
                    waiting.append(row)
                else:
                    done[row.case] = result
        except BrokenProcessPool as error:
            raise StoreError(
                store,
                expected=f"{workers} running worker processes",
                found="a worker was killed, probably out of memory",
                remedy="repeat the command with fewer workers=; prepared cases are kept",
            ) from error
    return done, failures


def _prepare_one(
    row: CohortCase, *, pipeline: Pipeline, store: Path, settings: dict[str, Any], wait: bool
) -> _Done | None:
    """Prepare a case unless it exists; None if another process is preparing it and ``wait`` is False."""
    folder, key = store / row.case, case_key(row, settings)
    if _is_up_to_date(folder, row, key):
        return _Done(key, is_new=False)
    remedy = "repeat the command with fewer workers=; prepared cases are kept"
    try:
        with enough_memory(row.images[0], remedy=remedy), case_lock(store, row.case, wait=wait):
            return _prepare_locked(row, folder, key, pipeline, store)
    except Timeout:
        return None


def _prepare_locked(row: CohortCase, folder: Path, key: str, pipeline: Pipeline, store: Path) -> _Done:
    there = case_at(folder)
    if there is not None and there.key == key and _is_whole(there):
        if not _is_current(there, row):  # otherwise another process has prepared it
            unlist_cases(store)
            write_labels(_with_labels(there, row))
        return _Done(key, is_new=False)
    require_own_folder(folder)
    unlist_cases(store)
    pipeline.prepare(row, folder, key)
    return _Done(key, is_new=True)


def _is_up_to_date(folder: Path, row: CohortCase, key: str) -> bool:
    there = case_at(folder)
    return there is not None and there.key == key and _is_current(there, row) and _is_whole(there)


def _is_current(case: PreparedCase, row: CohortCase) -> bool:
    """Return whether a case's record needs no change: it has the labels of the table, and checksums."""
    return case == _with_labels(case, row) and bool(case.checksums)


def _is_whole(case: PreparedCase) -> bool:
    """Verify the checksums of all arrays of a case."""
    try:
        verify_arrays(case.folder, case.checksums, has_lesion_mask=case.has_lesion_mask)
    except StoreError:
        return False
    return True


def _with_labels(case: PreparedCase, row: CohortCase) -> PreparedCase:
    return replace(case, subject=row.subject, session=row.session, disease=row.disease, columns=row.columns)


def _together(failures: Sequence[InputError], total: int, store: Path) -> InputError:
    if len(failures) == 1:
        return failures[0]
    for failure in failures:
        _log.error("%s", failure)
    return CohortError(
        store,
        expected=f"{total} valid scans",
        found=f"{len(failures)} invalid ones ({examples([failure.where for failure in failures], 5)})",
        remedy="repair or remove them and repeat the command; the others are kept",
    )
