"""Parsing of BIDS file names such as ``sub-01_ses-2_acq-3D_FLAIR.nii.gz`` and of their folders."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import final

from joint_seg_cls.scan.finder import natural, stem
from joint_seg_cls.scan.readers.people import plain_name

_ENTITY = re.compile(r"([a-z0-9]+)-(.+)", re.IGNORECASE)
#: Entity keys of BIDS. Other words with a dash (``lesion-manual``, ``lesion-mask-2``) are not entities.
_KEYS = frozenset(
    {
        "sub", "ses", "sample", "task", "tracksys", "acq", "ce", "trc", "stain", "rec", "dir", "run", "mod", "echo",
        "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk", "seg", "res", "den",
        "label", "desc", "from", "to", "mode", "atlas", "scale", "cohort", "tpl", "voi", "nuc",
    }
)  # fmt: skip
#: Entities that distinguish acquisitions of a session; a mask with one of them must agree with its scan.
_ACQUISITION = ("acq", "run", "rec", "dir", "echo", "ce", "part", "task", "chunk")


@final
@dataclass(frozen=True)
class BidsFile:
    """One NIfTI file.

    Attributes:
        name: path relative to the folder of the data set.
        subject: label of the subject, without ``sub-``.
        session: label of the visit, without ``ses-``, or None.
        entities: the other ``key-value`` parts of the name, with keys in lower case.
        words: parts of the name before the suffix that are not ``key-value``: ``lesion`` in ``sub-1_lesion_mask``.
        suffix: last part of the name, in lower case: ``flair``, ``t1w``, ``mask``.
        pipeline: its folder below ``derivatives``, or None for raw data.
    """

    name: str
    subject: str
    session: str | None
    entities: Mapping[str, str]
    words: tuple[str, ...]
    suffix: str
    pipeline: str | None

    def text(self, *keys: str) -> str:
        """Return the values of entities, for text search."""
        return " ".join(self.entities[key] for key in keys if key in self.entities)

    def belongs_to(self, scan: "BidsFile", spaces: frozenset[str]) -> bool:
        """Return whether this file of the same session can belong to ``scan``: no part of its name contradicts."""
        own, other = self.entities.get("space", ""), scan.entities.get("space", "")
        same_space = own.casefold() == other.casefold() or {own.casefold(), other.casefold()} <= spaces | {""}
        return same_space and all(
            plain_name(self.entities[key]) == plain_name(scan.entities.get(key, ""))  # run-02 is run-2
            for key in _ACQUISITION
            if key in self.entities
        )

    @property
    def folders(self) -> list[str]:
        """Folders of the file, except those of the subject and the visit."""
        parts = PurePosixPath(self.name).parts[:-1]
        return [part for part in parts if not re.match(r"(sub|ses)-", part, re.IGNORECASE)]

    @property
    def order(self) -> tuple:
        """Sort key: plainest name first, then first run."""
        return len(self.entities) + len(self.words), natural(stem(self.name))

    @property
    def rater(self) -> str:
        """Words that may name a rater or a consensus."""
        return " ".join([*self.entities.values(), *self.words, self.suffix, self.pipeline or ""])


def parse(name: str) -> BidsFile | None:
    """Return the parts of a file's path, or None if it has no subject or two of them."""
    path = PurePosixPath(name)
    words = stem(path.name).split("_")
    pairs = [(found[1], found[2]) for found in map(_entity, words) if found]
    entities = {key.casefold(): value for key, value in pairs}
    folders = {key.casefold(): value for key, value in _folder_entities(path)}
    subject, session = entities.pop("sub", None), entities.pop("ses", None)
    for own, key in ((subject, "sub"), (session, "ses")):
        if own is not None and key in folders and own.casefold() != folders[key].casefold():
            return None
    subject, session = subject or folders.get("sub"), session or folders.get("ses")
    if subject is None:
        return None
    suffix = "" if _entity(words[-1]) else words[-1].casefold()
    plain = tuple(word for word in words[:-1] if not _entity(word))
    return BidsFile(name, subject, session, entities, plain, suffix, _pipeline(path))


def _entity(word: str) -> re.Match[str] | None:
    found = _ENTITY.fullmatch(word)
    return found if found and found[1].casefold() in _KEYS else None


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
