"""Several masks of one scan: which of them are raters', and which is what the raters agreed on."""

import re
from collections.abc import Mapping
from typing import TypeVar

from joint_seg_cls.scan.finder import Remark

_CONSENSUS = re.compile(r"consensus|staple|agreed|fused|majority", re.IGNORECASE)
File = TypeVar("File")


def is_consensus(name: str) -> bool:
    """Return whether a rater's name is that of a mask which was made of several raters' masks."""
    return _CONSENSUS.search(name) is not None


def reference_masks(masks: Mapping[str, tuple[str, File]]) -> tuple[list[File], list[Remark]]:
    """Return the masks that count as one rater each, and remarks.

    Beside a consensus its raters' masks are left out: it holds them already, and would count as one rater more.

    Args:
        masks: by the file's name, the rater's name and the mask.
    """
    agreed = [name for name, (rater, _) in masks.items() if is_consensus(rater)]
    if not agreed or len(agreed) == len(masks):
        return [mask for _, mask in masks.values()], []
    left = [name for name in masks if name != agreed[0]]
    remarks = [Remark("masks of a consensus, taken in place of its raters' masks", agreed[0])]
    remarks += [Remark("masks left out beside a consensus", name) for name in left]
    return [masks[agreed[0]][1]], remarks
