"""A whole cohort into a prepared store: in parallel, resumable, never two settings in one store."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from joint_seg_cls.errors import CohortError, InputError, StoreError
from joint_seg_cls.parallel import over_processes
from joint_seg_cls.preprocess.pipeline import Pipeline, case_key
from joint_seg_cls.scan import CohortCase, PreparedStore, read_case, read_record

_log = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Prepared:
    """What became of the cohort's rows."""

    store: PreparedStore
    new: int
    kept: int


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
    """Prepare every row, skipping those already there with the same files and settings; then list them in the store.

    A case that cannot be used does not stop the others. The store can be trained on only when every row is prepared.

    Raises:
        StoreError: the store was made with other settings.
        InputError: a row's files cannot be used (the one failure, or all of them in one sentence).
    """
    record = {
        "settings": settings,
        "classes": list(classes),
        "modalities": list(modalities),
        "model_shape": list(pipeline.layout.model_shape),
    }
    _refuse_other_settings(store, record)
    _write_record(store, record)
    work = partial(_prepare_one, pipeline=pipeline, store=store, settings=settings)
    results = list(over_processes(work, rows, workers=workers, label="prepare"))
    failures = [result for _, result in results if isinstance(result, Exception)]
    for failure in failures:
        if not isinstance(failure, InputError):
            raise failure
    if failures:
        raise _together(failures, len(rows), store)
    _write_record(store, record | {"cases": sorted(row.case for row in rows)})
    new = sum(result is True for _, result in results)
    return Prepared(PreparedStore(store), new=new, kept=len(rows) - new)


def _prepare_one(row: CohortCase, *, pipeline: Pipeline, store: Path, settings: dict[str, Any]) -> bool:
    """Return whether the case had to be prepared."""
    folder, key = store / row.case, case_key(row, settings)
    if (folder / "case.json").is_file() and read_case(folder).key == key:
        return False
    pipeline.prepare(row, folder, key)
    return True


def _refuse_other_settings(store: Path, record: dict[str, Any]) -> None:
    if not (store / "store.json").exists():
        if store.is_dir() and any(store.iterdir()):
            raise StoreError(
                store,
                expected="an empty folder or a prepared store",
                found="other files",
                remedy="choose another store=",
            )
        return
    there, here = _flat(read_record(store / "store.json")), _flat(json.loads(json.dumps(record)))
    differing = [key for key in here if there.get(key) != here[key]]
    if differing:
        raise StoreError(
            store,
            expected=f"a store made with {', '.join(f'{key} = {here[key]}' for key in differing)}",
            found=f"one made with {', '.join(f'{key} = {there.get(key)}' for key in differing)}",
            remedy="choose another store=, or delete this one",
        )


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _write_record(store: Path, record: dict[str, Any]) -> None:
    store.mkdir(parents=True, exist_ok=True)
    partial_file = store / f".store.json.{os.getpid()}.partial"
    partial_file.write_text(json.dumps(record, indent=1), encoding="utf-8")
    partial_file.replace(store / "store.json")


def _together(failures: Sequence[Exception], total: int, store: Path) -> InputError:
    first = failures[0]
    if len(failures) == 1 and isinstance(first, InputError):
        return first
    for failure in failures:
        _log.error("%s", failure)
    return CohortError(
        store,
        expected=f"{total} scans that can be used",
        found=f"{len(failures)} that cannot: {' | '.join(str(failure) for failure in failures)}",
        remedy="repair or remove them and run the same command again; the others are kept",
    )
