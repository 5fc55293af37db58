"""Which scans a network was trained on, kept in its checkpoint so that nobody tests it on them unawares.

A scan's mark is a hash of what its preparation was made from (file contents and settings), and another of its image
file alone, which other settings share. Whoever has a scan can tell that it was among those trained on; the marks hold
no name, and none can be guessed from them. A checkpoint that started from another one keeps the other's marks too.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from joint_seg_cls.data import Split
from joint_seg_cls.scan import PreparedCase

#: The entry of a recipe that holds the marks, sorted; None where a checkpoint that it started from has none.
MARKS = "trained_scans"


@final
@dataclass(frozen=True)
class Overlap:
    """Tested scans that a network was trained on, and others whose subjects it was trained on."""

    scans: tuple[str, ...] = ()
    by_subject: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.scans or self.by_subject)

    def of(self, total: int) -> str:
        """Return how many of ``total`` scans these are, and which."""
        said = f"{len(self.scans)} of its {total} scans{_few(self.scans)}"
        more = f" and on other scans of the subjects of {len(self.by_subject)} more{_few(self.by_subject)}"
        return said + (more if self.by_subject else "")

    def counts(self) -> dict[str, int]:
        """Return how many of each there are."""
        return {"scans": len(self.scans), "by_subject": len(self.by_subject)}


def marks(key: str, image_hash: str | None) -> set[str]:
    """Return the marks of a scan: of its preparation's ``key``, and of its image file's hash where that is known."""
    found = {_mark("key", key)}
    return found if image_hash is None else found | {_mark("image", image_hash)}


def marks_of(case: PreparedCase) -> set[str]:
    """Return the marks of a prepared scan."""
    image_hash = case.provenance.get("image_hash")
    return marks(case.key, None if image_hash is None else str(image_hash))


def trained_marks(cases: Sequence[PreparedCase], split: Split, start: Iterable[str] | None = ()) -> list[str] | None:
    """Return the marks of what a training sees, sorted.

    Args:
        cases: of the store.
        split: its fold.
        start: the marks of the checkpoint that it starts from; None where these are not known.
    """
    if start is None:
        return None
    seen = {*split.train, *split.validation}
    return sorted(set(start).union(*(marks_of(case) for case in cases if case.case in seen)))


def kept_marks(recipe: Mapping[str, Any]) -> list[str] | None:
    """Return the marks that a checkpoint keeps; None where it keeps none."""
    found = recipe.get(MARKS)
    return found if isinstance(found, list) and all(isinstance(mark, str) for mark in found) else None


def known_marks(
    recipe: Mapping[str, Any], cases: Sequence[PreparedCase], folds: Mapping[Any, Split], facts: Mapping[str, Any]
) -> list[str] | None:
    """Return the marks that a checkpoint keeps, or those that follow from its fold; None where they are not known.

    An older checkpoint has none. If it was trained on these ``folds`` of this store, they follow from its fold.

    Args:
        recipe: of the checkpoint.
        cases: of the store at hand.
        folds: of the store at hand.
        facts: hashes of the store at hand and of its folds.
    """
    if (kept := kept_marks(recipe)) is not None:
        return kept
    if MARKS in recipe:
        return None
    trained = recipe.get("trained_on", {})
    alike = all(trained.get(name) == facts[name] for name in ("data_hash", "folds_hash"))
    if not alike or "init_hash" in trained or trained.get("fold") not in folds:
        return None
    return trained_marks(cases, folds[trained["fold"]])


def overlap(
    trained: Iterable[str], cases: Sequence[PreparedCase], tested: Iterable[str], own: Iterable[str] = ()
) -> Overlap:
    """Return which of the ``tested`` scans of a store a network was trained on, itself or its subject's others.

    Args:
        trained: the network's marks.
        cases: of the store.
        tested: names of cases.
        own: names of cases whose subjects are on both sides by the split itself, which the audit reports.
    """
    known, names, beside = set(trained), set(tested), set(own)
    seen = {case.case for case in cases if marks_of(case) & known}
    people = {case.subject for case in cases if case.case in seen} - {
        case.subject for case in cases if case.case in beside
    }
    return Overlap(
        tuple(sorted(names & seen)),
        tuple(sorted(case.case for case in cases if case.case in names - seen and case.subject in people)),
    )


def _few(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else ""


def _mark(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()[:16]
