"""Folds from a user's file.

``.tsv`` or ``.csv``: a column ``case`` or ``subject``, and

* ``fold``: the test fold (a number, or ``held_out``);
* or ``split`` (``train``, ``val`` or ``test``), for a single fold 0;
* or both, with one row per fold and case.

``.json``: ``{"name": fold, ...}``; ``{"train": [...], "val": [...], "test": [...]}`` for fold 0; a list of these, one
per fold; ``{"0": {...}, "1": {...}}``; or a file of frozen folds. A name is a case, or a subject for all its cases. If
no fold has ``test``, as in nnU-Net's ``splits_final.json``, ``val`` is tested. A fold without a validation part gets
``data.validation_fraction`` of its training part.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from joint_seg_cls.data.cut_name import cut_name
from joint_seg_cls.data.split import HELD_OUT, FoldName, Split, with_validation
from joint_seg_cls.data.split_check import ALLOWABLE, check_splits
from joint_seg_cls.data.split_text import FoldParts, read_folds
from joint_seg_cls.errors import ConfigError, SplitError
from joint_seg_cls.scan import PreparedCase


@final
@dataclass(frozen=True)
class SplitFile:
    """The folds of a split file (see the module for its formats).

    Args:
        seed: seed of validation parts that the file does not define.
        allow: accepted violations: ``leakage`` (a subject in two parts), ``unknown_cases``, ``missing_cases``,
            ``empty_class`` (a part without a scan of a class).
    """

    path: str | Path | None
    seed: int = 0
    allow: Sequence[str] = ()

    def splits(self, cases: Sequence[PreparedCase], validation_fraction: int | float) -> dict[FoldName, Split]:
        """Return the parts of every fold.

        Raises:
            ConfigError: an unknown value in ``allow``.
            SplitError: the file cannot be read, or breaks a rule that is not in ``allow``.
        """
        unknown = sorted(set(self.allow) - set(ALLOWABLE))
        if unknown:
            raise ConfigError(
                "data.folds.allow", expected=f"some of {', '.join(ALLOWABLE)}", found=unknown[0], remedy="correct it"
            )
        requested = self._named(read_folds(self.file), cases)
        held_out = set(requested.get(HELD_OUT, FoldParts()).test or ())
        splits: dict[FoldName, Split] = {}
        for fold, parts in requested.items():
            if parts.train is not None and parts.val:
                splits[fold] = Split(*(tuple(sorted(part or ())) for part in (parts.train, parts.val, parts.test)))
                continue
            if parts.train is not None:
                named = {*parts.train, *(parts.test or ())}
            else:
                tested = {name for other in requested.values() for name in other.test or ()}
                named = tested - (set() if fold == HELD_OUT else held_out)
            known = [case for case in cases if case.case in named]
            splits[fold] = with_validation(
                known, parts.test or (), fraction=validation_fraction, seed=self.seed, fold=fold
            )
        check_splits(splits, cases, self.file, allow=self.allow)
        return splits

    def settings(self, validation_fraction: int | float) -> dict[str, object]:
        """Return all settings that determine the folds: the content of the file, not its path."""
        return {"file": self._digest(), "seed": self.seed, "validation_fraction": validation_fraction}

    def name(self, validation_fraction: int | float) -> str:
        """Return a name such as ``file-mine-1a2b3c4d_seed-0_validation-0.2``."""
        return cut_name(f"file-{self.label}", {"seed": self.seed, "validation": validation_fraction})

    @property
    def file(self) -> Path:
        """The file.

        Raises:
            ConfigError: no file is configured.
        """
        if self.path is None:
            raise ConfigError(
                "data.folds",
                expected="a value for data.folds.path",
                found="none",
                remedy="add data.folds.path=... (a .tsv, .csv or .json file)",
            )
        return Path(self.path).expanduser()

    @property
    def label(self) -> str:
        """The name of the file and a hash of its content."""
        return f"{self.file.stem}-{self._digest()[:8]}"

    def _digest(self) -> str:
        try:
            return hashlib.sha256(self.file.read_bytes()).hexdigest()[:16]
        except OSError as error:
            raise SplitError(
                self.file,
                expected="a split file (.tsv, .csv or .json)",
                found="no such file" if isinstance(error, FileNotFoundError) else str(error.strerror),
                remedy="correct data.folds.path=",
            ) from error

    def _named(self, requested: dict[FoldName, FoldParts], cases: Sequence[PreparedCase]) -> dict[FoldName, FoldParts]:
        """Return the folds with subjects replaced by their cases."""
        by_subject: dict[str, list[str]] = {}
        for case in cases:
            by_subject.setdefault(case.subject, []).append(case.case)
        by_case = {case.case: [case.case] for case in cases}
        named: dict[FoldName, FoldParts] = {}
        unknown: set[str] = set()
        for fold, parts in requested.items():
            resolved = []
            for part in parts[:3]:
                if part is None:
                    resolved.append(None)
                    continue
                look = by_subject if parts.by == "subject" else by_case if parts.by == "case" else by_subject | by_case
                unknown |= {name for name in part if name not in look}
                resolved.append([case for name in part for case in look.get(name, [])])
            named[fold] = FoldParts(*resolved)
        if unknown and "unknown_cases" not in self.allow:
            raise SplitError(
                self.file,
                expected="names of cases or subjects of the store",
                found=f"{len(unknown)} that it does not hold ({', '.join(sorted(unknown)[:5])})",
                remedy="correct the names, prepare those scans, or set data.folds.allow=[unknown_cases]",
            )
        return named
