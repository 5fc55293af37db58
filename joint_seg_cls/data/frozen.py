"""Folds of a store, generated once and frozen in a file in the store.

::

    <store>/splits/<name>.json
        format      1
        made_with   version of this program
        settings    all settings of the folds: kind, count, seed, held-out cases, validation fraction
            data_hash   of the store when the folds were generated
            hash        of the cases in each part of each fold, quoted in runs and reports
            cases       {case: [subject, disease or null]} at that time
            folds       {"0": {"train": [...], "validation": [...], "test": [...]}, ..., "held_out": {...}}

A store with other cases, subjects or diseases than the file is refused; the folds are never replaced silently.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import clear_partial, write_json
from joint_seg_cls.data.split import FoldMaker, FoldName, Split, folds_hash
from joint_seg_cls.errors import SplitError
from joint_seg_cls.scan import PreparedCase, PreparedStore

_log = logging.getLogger(__name__)
_FORMAT = 1
_FOLDER = "splits"


@final
@dataclass(frozen=True)
class FrozenFolds:
    """Frozen folds; ``path`` is None if the store is not writable."""

    path: Path | None
    hash: str
    splits: dict[FoldName, Split]


def freeze(store: PreparedStore, folds: FoldMaker, validation_fraction: int | float) -> FrozenFolds:
    """Return the folds of a store from their file; a missing file is written first.

    Raises:
        SplitError: the folds cannot be generated, the file was edited or has other settings, or the store has other
            cases.
    """
    path = store.path / _FOLDER / f"{folds.name(validation_fraction)}.json"
    settings = json.loads(json.dumps(folds.settings(validation_fraction)))
    if not path.is_file():
        splits = folds.splits(store.cases, validation_fraction)
        record = _record(store, settings, splits)
        try:
            _write_once(path, record)
        except OSError as error:
            _log.warning("%s cannot be written (%s): each run generates the folds again", path, error.strerror)
            return FrozenFolds(None, folds_hash(splits), splits)
    return _read(path, store, settings)


def frozen_files(store: PreparedStore) -> list[Path]:
    """Return the files of the frozen folds of a store."""
    return sorted((store.path / _FOLDER).glob("*.json"))


def read_frozen(path: Path, store: PreparedStore) -> FrozenFolds:
    """Read frozen folds with any settings.

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
    """Write the file atomically, or keep the one that another process has written meanwhile."""
    path.parent.mkdir(exist_ok=True)
    clear_partial(path.parent)
    write_json(path, record, keep=True)


def _read(path: Path, store: PreparedStore, settings: dict[str, Any] | None) -> FrozenFolds:
    remedy = "delete the file to generate new folds; runs with the old ones are then not comparable"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        splits = {
            int(fold) if fold.lstrip("-").isdigit() else fold: Split(
                *(_names(parts[part]) for part in ("train", "validation", "test"))
            )
            for fold, parts in record["folds"].items()
        }
        there, written, data_hash = record["settings"], record["hash"], record["data_hash"]
        who = {str(case): list(each) for case, each in record["cases"].items()}
        found = folds_hash(splits)
        names = {name for split in splits.values() for name in (*split.train, *split.validation, *split.test)}
        if not all(isinstance(name, str) for name in names):
            raise TypeError("a case name is not text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SplitError(
            path, expected="frozen folds", found=f"an unreadable file ({error!r})", remedy=remedy
        ) from error
    if written != found:
        raise SplitError(
            path,
            expected=f"the folds that were frozen (hash {written})",
            found=f"other folds (hash {found}), since the file was edited",
            remedy="restore it, or use your own cut with data/folds=file data.folds.path=...",
        )
    if settings is not None and there != settings:
        raise SplitError(path, expected=f"folds made with {settings}", found=f"with {there}", remedy=remedy)
    _refuse_other_cases(path, who, _who(store.cases), remedy)
    if data_hash != store.content_hash:
        _log.info("%s: the store has changed, but not its cases; the folds are unchanged", path.name)
    return FrozenFolds(path, written, splits)


def _names(items: Any) -> tuple[str, ...]:
    """Return a list of names.

    Raises:
        TypeError: the value is not a list of names.
    """
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise TypeError(f"not a list of names: {items!r:.80}")
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
            found=f"a changed store: {', '.join(changes)}",
            remedy=remedy,
        )
