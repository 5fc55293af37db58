"""Marks of the training scans of a network, stored in its checkpoint to detect tests on training scans.

A scan has three marks: hashes of the inputs of its preparation (file contents and settings), of its image file, and of
its voxel values, which do not change if the file is compressed again or saved as another type. Marks reveal no names. A
checkpoint initialised from another one has the marks of both.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from joint_seg_cls.data import Split
from joint_seg_cls.errors import examples
from joint_seg_cls.scan import PreparedCase
from joint_seg_cls.training.recipe import Recipe

#: The entry of a recipe with the sorted marks; None if the initial checkpoint has no marks.
MARKS = "trained_scans"


@final
@dataclass(frozen=True)
class Overlap:
    """Tested scans that a network was trained on, and other tested scans of its training subjects."""

    scans: tuple[str, ...] = ()
    by_subject: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.scans or self.by_subject)

    def of(self, total: int) -> str:
        """Return the number and names of these scans out of ``total``, as text."""
        text = f"{len(self.scans)} of its {total} scans{_few(self.scans)}"
        more = f" and on other scans of the subjects of {len(self.by_subject)} more{_few(self.by_subject)}"
        return text + (more if self.by_subject else "")

    def counts(self) -> dict[str, int]:
        """Return the two numbers of scans."""
        return {"scans": len(self.scans), "by_subject": len(self.by_subject)}


def marks(key: str, image_hash: str | None, voxel_hash: str | None = None) -> set[str]:
    """Return the marks of a scan: of the ``key`` of its preparation, and of the hashes of file and voxels if known."""
    known = {"key": key, "image": image_hash, "voxels": voxel_hash}
    return {_mark(kind, value) for kind, value in known.items() if value is not None}


def marks_of(case: PreparedCase) -> set[str]:
    """Return the marks of a prepared scan."""
    of_file, of_voxels = (case.provenance.get(name) for name in ("image_hash", "voxel_hash"))
    return marks(case.key, None if of_file is None else str(of_file), None if of_voxels is None else str(of_voxels))


def trained_marks(cases: Sequence[PreparedCase], split: Split, start: Iterable[str] | None = ()) -> list[str] | None:
    """Return the sorted marks of the training and validation scans.

    Args:
        start: the marks of the initial checkpoint; None if unknown.
    """
    if start is None:
        return None
    matched = {*split.train, *split.validation}
    return sorted(set(start).union(*(marks_of(case) for case in cases if case.case in matched)))


def known_marks(
    recipe: Recipe, cases: Sequence[PreparedCase], folds: Mapping[Any, Split], facts: Mapping[str, Any]
) -> Sequence[str] | None:
    """Return the marks of a checkpoint; None if unknown.

    Older checkpoints have no marks. If one was trained on these ``folds`` of this store, its fold gives them.

    Args:
        facts: hashes of the present store and its folds.
    """
    if recipe.trained_scans is not None:
        return recipe.trained_scans
    trained = recipe.trained_on
    alike = all(trained.get(name) == facts[name] for name in ("data_hash", "folds_hash"))
    if not alike or "init_hash" in trained or trained.get("fold") not in folds:
        return None
    return trained_marks(cases, folds[trained["fold"]])


def overlap(
    trained: Iterable[str], cases: Sequence[PreparedCase], tested: Iterable[str], own: Iterable[str] = ()
) -> Overlap:
    """Return the ``tested`` scans that a network was trained on, and those of its training subjects.

    Args:
        trained: the network's marks.
        own: names of cases whose subjects are in several parts of the split, which the audit reports.
    """
    known, names, beside = set(trained), set(tested), set(own)
    matched = {case.case for case in cases if marks_of(case) & known}
    people = {case.subject for case in cases if case.case in matched} - {
        case.subject for case in cases if case.case in beside
    }
    return Overlap(
        tuple(sorted(names & matched)),
        tuple(sorted(case.case for case in cases if case.case in names - matched and case.subject in people)),
    )


def _few(names: Sequence[str]) -> str:
    return f" ({examples(names, 5)})" if names else ""


def _mark(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()[:16]
