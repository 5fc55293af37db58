"""Names of files in BIDS: ``sub-01_ses-2_acq-3D_FLAIR.nii.gz`` taken apart, with the folders that they stand in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import final

from joint_seg_cls.scan.readers.files import natural

_ENTITY = re.compile(r"([a-z0-9]+)-(.+)", re.IGNORECASE)
_NIFTI = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
#: A suffix that is written as if it were an entity: ``lesion-mask``, ``lesion-mask-2``.
_DASHED_MASK = re.compile(r"[a-z]+-mask(-\d+)?", re.IGNORECASE)
#: Parts of a name that tell one acquisition of a session from another; a mask that has one must agree with its scan.
_ACQUISITION = ("acq", "run", "rec", "dir", "echo", "ce", "part", "task", "chunk")


@final
@dataclass(frozen=True)
class BidsFile:
    """One NIfTI file.

    Attributes:
        name: its path below the data set's folder.
        subject: the person's label, without ``sub-``.
        session: the visit's label, without ``ses-``, or None.
        entities: the other ``key-value`` parts of its name, keys in lower case.
        words: the parts of its name before the suffix that are no ``key-value``: ``lesion`` of ``sub-1_lesion_mask``.
        suffix: the last part of its name, in lower case: ``flair``, ``t1w``, ``mask``.
        pipeline: the folder below ``derivatives`` that it is in, or None for raw data.
    """

    name: str
    subject: str
    session: str | None
    entities: Mapping[str, str]
    words: tuple[str, ...]
    suffix: str
    pipeline: str | None

    def text(self, *keys: str) -> str:
        """Return the values of entities, for searching in them."""
        return " ".join(self.entities[key] for key in keys if key in self.entities)

    def belongs_to(self, scan: "BidsFile", spaces: frozenset[str]) -> bool:
        """Return whether this file, of the same session, may describe ``scan``: no part of its name says otherwise."""
        own, other = self.entities.get("space", ""), scan.entities.get("space", "")
        same_space = own.casefold() == other.casefold() or {own.casefold(), other.casefold()} <= spaces | {""}
        return same_space and all(
            self.entities[key].casefold() == scan.entities.get(key, "").casefold()
            for key in _ACQUISITION
            if key in self.entities
        )

    @property
    def folders(self) -> list[str]:
        """The folders that it is in, apart from those of the person and the visit."""
        parts = PurePosixPath(self.name).parts[:-1]
        return [part for part in parts if not re.match(r"(sub|ses)-", part, re.IGNORECASE)]

    @property
    def order(self) -> tuple:
        """A key that puts the plainest name first, then the first run."""
        return len(self.entities), natural(_NIFTI.sub("", self.name))


def parse(name: str) -> BidsFile | None:
    """Return the parts of a file's path, or None where no person is named, or two are."""
    path = PurePosixPath(name)
    words = _NIFTI.sub("", path.name).split("_")
    if _DASHED_MASK.fullmatch(words[-1]):
        words[-1] = words[-1].replace("-", "")
    pairs = [found.groups() for found in map(_ENTITY.fullmatch, words) if found]
    entities = {key.casefold(): value for key, value in pairs}
    folders = {key.casefold(): value for key, value in _folder_entities(path)}
    subject, session = entities.pop("sub", None), entities.pop("ses", None)
    for own, key in ((subject, "sub"), (session, "ses")):
        if own is not None and key in folders and own.casefold() != folders[key].casefold():
            return None
    subject, session = subject or folders.get("sub"), session or folders.get("ses")
    if subject is None:
        return None
    suffix = "" if _ENTITY.fullmatch(words[-1]) else words[-1].casefold()
    plain = tuple(word for word in words[:-1] if not _ENTITY.fullmatch(word))
    return BidsFile(name, subject, session, entities, plain, suffix, _pipeline(path))


def _folder_entities(path: PurePosixPath) -> list[tuple[str, str]]:
    found = (re.fullmatch(r"(sub|ses)-([^/]+)", part, re.IGNORECASE) for part in path.parts[:-1])
    return [(match[1], match[2]) for match in found if match]


def _pipeline(path: PurePosixPath) -> str | None:
    parts = [part.casefold() for part in path.parts[:-1]]
    if "derivatives" not in parts:
        return None
    below = path.parts[parts.index("derivatives") + 1 : -1]
    kept = []
    for part in below:
        if re.match(r"(sub|ses)-", part, re.IGNORECASE):
            break
        kept.append(part)
    return "/".join(kept)
