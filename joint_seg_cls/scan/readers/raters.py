"""Several masks of one scan: single raters and consensus."""

import re
from collections.abc import Mapping
from typing import TypeVar

from joint_seg_cls.scan.finder import Remark

_CONSENSUS = re.compile(r"consensus|staple|agreed|fused|majority", re.IGNORECASE)
File = TypeVar("File")


def is_consensus(name: str) -> bool:
    """Return whether the name of a rater means a consensus of several raters."""
    return _CONSENSUS.search(name) is not None


def reference_masks(masks: Mapping[str, tuple[str, File]]) -> tuple[list[File], list[Remark]]:
    """Return the reference masks, one per rater, and remarks.

    If there is a consensus, single raters are left out: they would count twice.

    Args:
        masks: name of the rater and mask, by file name.
    """
    agreed = [name for name, (rater, _) in masks.items() if is_consensus(rater)]
    if not agreed or len(agreed) == len(masks):
        return [mask for _, mask in masks.values()], []
    left = [name for name in masks if name != agreed[0]]
    remarks = [Remark("consensus masks, used instead of single raters' masks", agreed[0])]
    remarks += [Remark("single raters' masks, not used because of a consensus", name) for name in left]
    return [masks[agreed[0]][1]], remarks
