"""Recognising lesion and brain masks in a BIDS data set."""

import re
from collections.abc import Sequence
from typing import Literal, final

from joint_seg_cls.scan.readers.bids_names import BidsFile

_MASKS = frozenset({"mask", "dseg", "seg", "roi", "label", "labels"})
_PROBABILITY = re.compile("prob", re.IGNORECASE)


@final
class MaskNames:
    """Recognises masks by the words in their names, or else by the names of their folders.

    Words are those in ``label-`` and ``desc-``, the suffix, and parts that are not ``key-value`` pairs.

    Args:
        lesion: words of lesion masks; a word of one letter must be the whole part.
        brain: words of brain masks, likewise.
    """

    def __init__(self, lesion: Sequence[str], brain: Sequence[str]) -> None:
        self._lesion, self._brain = _words(lesion), _words(brain)

    def kind(self, file: BidsFile) -> Literal["lesion", "brain", "unclear", "probability"] | None:
        """Return the kind of mask of a file; ``probability`` for a probability map, None for other files."""
        words = [file.entities[key] for key in ("label", "desc") if key in file.entities] + [*file.words, file.suffix]
        lesion, brain = self._named(words)
        is_mask = file.suffix in _MASKS or file.suffix.endswith("mask") or not file.suffix or "label" in file.entities
        if not lesion and not brain and file.suffix in _MASKS:
            lesion, brain = self._named(file.folders) if "label" not in file.entities else (False, False)
            if lesion == brain:
                return "unclear"
        if not lesion and not brain:
            return None
        if any(_PROBABILITY.search(word) for word in words):
            return "probability" if lesion else None
        if is_mask or self._lesion.search(file.suffix) or self._brain.search(file.suffix):
            return "lesion" if lesion else "brain"
        return None

    def _named(self, words: Sequence[str]) -> tuple[bool, bool]:
        return any(map(self._lesion.search, words)), any(map(self._brain.search, words))


def _words(words: Sequence[str]) -> re.Pattern[str]:
    parts = [rf"^{re.escape(word)}$" if len(word) == 1 else re.escape(word) for word in words]
    return re.compile("|".join(parts) or "(?!)", re.IGNORECASE)
