"""Folds are dealt once for a store, written beside its cases, and read from then on.

::

    <store>/splits/<name>.json
        format      1
        made_with   version of this program
        settings    what decides the cut: kind, count, seed, held-out cases, validation fraction
        data_hash   of the store when the cut was made
        hash        of who is in which part of which fold; runs and reports quote it
        cases       {case: [subject, disease or null]} at that time
        folds       {"0": {"train": [...], "validation": [...], "test": [...]}, ..., "held_out": {...}}

A store whose cases, subjects or diseases are no longer those of the file is refused, never dealt anew in silence.
"""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls import __version__
from joint_seg_cls.data.split import FoldMaker, FoldName, Split, folds_hash
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import PreparedCase, PreparedStore

_log = logging.getLogger(__name__)
_FORMAT = 1
_FOLDER = "splits"


@final
@dataclass(frozen=True)
class FrozenFolds:
    """A cut that does not change any more; ``path`` is None where the store could not be written to."""

    path: Path | None
    hash: str
    splits: dict[FoldName, Split]


def freeze(store: PreparedStore, folds: FoldMaker, validation_fraction: int | float) -> FrozenFolds:
    """Return the cut of a store: from its file, which is written first where there is none.

    Raises:
        SplitError: the cohort cannot be cut as asked; the file was changed by hand, or was made with other settings, or
            the store holds other cases by now.
    """
    path = store.path / _FOLDER / f"{folds.name(validation_fraction)}.json"
    settings = json.loads(json.dumps(folds.settings(validation_fraction)))
    if not path.is_file():
        splits = folds.splits(store.cases, validation_fraction)
        record = _record(store, settings, splits)
        try:
            _write_once(path, record)
        except OSError as error:
            _log.warning("%s cannot be written (%s): the folds are dealt anew in each run", path, error.strerror)
            return FrozenFolds(None, folds_hash(splits), splits)
    return _read(path, store, settings)


def frozen_files(store: PreparedStore) -> list[Path]:
    """Return the cuts that were frozen for a store."""
    return sorted((store.path / _FOLDER).glob("*.json"))


def read_frozen(path: Path, store: PreparedStore) -> FrozenFolds:
    """Read a frozen cut whatever its settings are.

    Raises:
        SplitError: as :func:`freeze`.
    """
    return _read(path, store, None)


def _record(store: PreparedStore, settings: dict[str, Any], splits: dict[FoldName, Split]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "made_with": __version__,
        "settings": settings,
        "data_hash": store.content_hash,
        "hash": folds_hash(splits),
        "cases": _who(store.cases),
        "folds": {
            str(fold): {"train": split.train, "validation": split.validation, "test": split.test}
            for fold, split in splits.items()
        },
    }


def _who(cases: Sequence[PreparedCase]) -> dict[str, list[str | None]]:
    return {case.case: [case.subject, case.disease] for case in sorted(cases, key=lambda case: case.case)}


def _write_once(path: Path, record: dict[str, Any]) -> None:
    """Write the file whole, or leave the one that another process has written meanwhile."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        partial.replace(path)
        return
    partial.unlink()


def _read(path: Path, store: PreparedStore, settings: dict[str, Any] | None) -> FrozenFolds:
    remedy = "delete the file to deal the folds anew; runs with the old ones are then not comparable"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        splits = {
            int(fold) if fold.lstrip("-").isdigit() else fold: Split(
                *(_names(parts[part]) for part in ("train", "validation", "test"))
            )
            for fold, parts in record["folds"].items()
        }
        there, who, written, data_hash = (
            dict(record["settings"]),
            dict(record["cases"]),
            record["hash"],
            record["data_hash"],
        )
    except OSError as error:
        raise SplitError(path, expected="frozen folds", found=str(error.strerror), remedy=remedy) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found = f"an unreadable file ({' '.join(str(error).split())})"
        raise SplitError(path, expected="frozen folds", found=found, remedy=remedy) from error
    if written != folds_hash(splits):
        raise SplitError(
            path,
            expected=f"the folds that were frozen (hash {written})",
            found=f"others (hash {folds_hash(splits)}): the file was edited",
            remedy="restore it, or use your own cut with data/folds=file data.folds.path=...",
        )
    if settings is not None and there != settings:
        raise SplitError(path, expected=f"folds made with {settings}", found=f"with {there}", remedy=remedy)
    _refuse_other_cases(path, who, _who(store.cases), remedy)
    if data_hash != store.content_hash:
        _log.info("%s: the store has changed since, its cases have not; the folds stay as they are", path.name)
    return FrozenFolds(path, written, splits)


def _names(items: Any) -> tuple[str, ...]:
    """Return a list of names.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise TypeError(f"no list of names: {items!r:.80}")
    return tuple(items)


def _refuse_other_cases(path: Path, then: dict[str, Any], now: dict[str, Any], remedy: str) -> None:
    new, gone = sorted(now.keys() - then.keys()), sorted(then.keys() - now.keys())
    other = sorted(name for name in now.keys() & then.keys() if now[name] != then[name])
    changes = [
        f"{len(names)} {what} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        for names, what in ((new, "more"), (gone, "fewer"), (other, "with another subject or disease"))
        if names
    ]
    if changes:
        raise SplitError(
            path,
            expected=f"a store of the {len(then)} cases whose folds were frozen",
            found=f"one that has changed: {', '.join(changes)}",
            remedy=remedy,
        )
