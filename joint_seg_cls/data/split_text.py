"""Parsing of split files, without comparing names with the store."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from joint_seg_cls.data.split import HELD_OUT, FoldName
from joint_seg_cls.errors import CohortError, SplitError, shortened
from joint_seg_cls.scan.tables import line_of, read_table

_PARTS = {"train": "train", "training": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
_PARTS |= {"testing": "test"}


class FoldParts(NamedTuple):
    """Names in the parts of a fold; ``train`` is None if the file defines only the test part."""

    train: list[str] | None = None
    val: list[str] | None = None
    test: list[str] | None = None
    by: Literal["case", "subject", "either"] = "either"


def read_folds(path: Path) -> dict[FoldName, FoldParts]:
    """Return the parts of each fold of a split file.

    Raises:
        SplitError: the file is missing, does not match its suffix, or contains no split.
    """
    path = path.expanduser()
    if path.suffix not in (".tsv", ".csv", ".json"):
        raise _refusal(path, "a .tsv, .csv or .json file", path.suffix or "no suffix", "rename or convert it")
    try:
        if path.suffix == ".json":
            text = path.read_text(encoding="utf-8-sig")
            folds = _from_json(path, json.loads(text, object_pairs_hook=_unrepeated_keys))
        else:
            folds = _from_table(path, read_table(path))
    except FileNotFoundError as error:
        raise _refusal(path, "a split file", "no such file", "correct data.folds.path=") from error
    except CohortError as error:
        found = f"an unreadable one ({error.found})"
        raise _refusal(error.where, "a readable split file", found, error.remedy) from error
    except (OSError, ValueError, RecursionError) as error:  # JSON and decoding errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise _refusal(path, "a readable split file", f"an unreadable one ({reason})", "save it again") from error
    if not folds:
        raise _refusal(path, "at least one fold", "none", "name the cases of a fold")
    if not any(parts.test for parts in folds.values()):
        folds = {fold: FoldParts(parts.train, None, parts.val, parts.by) for fold, parts in folds.items()}
    for fold, parts in folds.items():
        if not parts.test:
            raise _refusal(path, "a test part in every fold", f"none in fold {fold}", "name the cases it tests")
    return dict(sorted(folds.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _from_table(path: Path, table: pd.DataFrame) -> dict[FoldName, FoldParts]:
    table.columns = table.columns.str.lower()
    by: Literal["case", "subject"] = "case" if "case" in table.columns else "subject"
    if by not in table.columns or not {"fold", "split"} & set(table.columns):
        columns = shortened(", ".join(map(str, table.columns)))
        raise _refusal(path, "columns case or subject, and fold or split", columns or "none", "name the columns so")
    rows = [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]
    places = [line_of(path, number) for number in table.index]
    for where, row in zip(places, rows, strict=True):
        if not row[by]:
            raise _refusal(where, f"a name in the column {by}", "an empty cell", "name the scan or delete the row")
    if "split" not in table.columns:
        return _tested(path, ((row[by], row["fold"]) for row in rows), by)
    named: dict[FoldName, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for where, row in zip(places, rows, strict=True):
        part = _PARTS.get(row["split"].lower())
        if part is None:
            raise _refusal(where, "train, val or test in the column split", row["split"], "correct it")
        named[_fold(path, row.get("fold", "0"))][part].append(row[by])
    return {
        fold: _unrepeated(path, fold, FoldParts(parts["train"], parts.get("val"), parts.get("test"), by))
        for fold, parts in named.items()
    }


def _from_json(path: Path, content: Any) -> dict[FoldName, FoldParts]:
    if isinstance(content, Mapping) and isinstance(content.get("folds"), Mapping | list):
        content = content["folds"]
    if isinstance(content, list):
        content = dict(enumerate(content))
    if not isinstance(content, Mapping) or not content:
        raise _refusal(
            path, "folds, or names and their folds", type(content).__name__, "use one of the documented formats"
        )
    if all(isinstance(value, int | str) for value in content.values()):
        return _tested(path, ((str(name), str(fold)) for name, fold in content.items()), "either")
    if set(content) <= set(_PARTS):
        content = {0: content}
    folds = {}
    for name, parts in content.items():
        fold = _fold(path, str(name))
        if fold in folds:
            raise _refusal(path, "each fold once", f"fold {fold} twice", "leave one of them")
        if not isinstance(parts, Mapping) or not parts or not set(parts) <= set(_PARTS):
            found = ", ".join(map(str, parts)) if isinstance(parts, Mapping) else type(parts).__name__
            raise _refusal(path, f"train, val and test in fold {fold}", found or "nothing", "name the parts so")
        named = _lists(path, fold, parts)
        parts_of_fold = FoldParts(named.get("train", []), named.get("val"), named.get("test"))
        folds[fold] = _unrepeated(path, fold, parts_of_fold)
    return folds


def _lists(path: Path, fold: FoldName, parts: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names in each part of a fold."""
    named: dict[str, list[str]] = {}
    for part, names in parts.items():
        if not isinstance(names, list) or not all(isinstance(one, str | int) for one in names):
            expected = f"a list of names in {part} of fold {fold}"
            raise _refusal(path, expected, type(names).__name__, "list the names")
        if _PARTS[part] in named:
            raise _refusal(path, f"one {_PARTS[part]} part in fold {fold}", ", ".join(parts), "leave one of them")
        named[_PARTS[part]] = [str(one) for one in names]
    return named


def _unrepeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise ValueError(f"the key {repeated[0]} is repeated")
    return dict(pairs)


def _tested(
    path: Path, rows: Iterable[tuple[str, str]], by: Literal["case", "subject", "either"]
) -> dict[FoldName, FoldParts]:
    """Return folds that define only their test parts."""
    tested: dict[FoldName, list[str]] = defaultdict(list)
    for name, fold in rows:
        tested[_fold(path, fold)].append(name)
    twice = sorted(n for n, count in Counter(n for names in tested.values() for n in names).items() if count > 1)
    if twice:
        raise _refusal(path, "one fold for each name", f"{', '.join(twice[:5])} named twice", "leave one row of each")
    return {fold: FoldParts(test=names, by=by) for fold, names in tested.items()}


def _unrepeated(path: Path, fold: FoldName, parts: FoldParts) -> FoldParts:
    counts = Counter(name for part in parts[:3] for name in part or ())
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise _refusal(
            path, f"each name in one part of fold {fold}", f"{', '.join(twice[:5])} named twice", "leave one of them"
        )
    return parts


def _fold(path: Path, text: str) -> FoldName:
    if text.lower().replace("-", "_") == HELD_OUT:
        return HELD_OUT
    if re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        return int(text)
    raise _refusal(path, f"a whole number or {HELD_OUT} as fold", shortened(text) or "an empty cell", "correct it")


def _refusal(where: str | Path, expected: str, found: str, remedy: str) -> SplitError:
    return SplitError(where, expected=shortened(expected), found=shortened(found), remedy=remedy)
