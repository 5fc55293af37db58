"""Disk space of a prepared store."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from joint_seg_cls.errors import StoreError
from joint_seg_cls.scan import PreparedCase


def bytes_a_case(channels: int, shape: tuple[int, int, int]) -> int:
    """Return the size of a case: float32 image, brain and lesion mask with one byte per voxel; the rest is small."""
    x, y, z = shape
    return x * y * z * (4 * channels + 2)


def bytes_of(cases: Sequence[PreparedCase]) -> int:
    """Return the disk space of cases."""
    return sum(file.stat().st_size for case in cases for file in case.folder.iterdir())


def refuse_too_little_space(store: Path, cases: int, *, channels: int, shape: tuple[int, int, int]) -> None:
    """Refuse to start if the disk is too small.

    Raises:
        StoreError: ``cases`` further cases need more than the free space.
    """
    needed, free = cases * bytes_a_case(channels, shape), shutil.disk_usage(store).free
    if needed > free:
        raise StoreError(
            store,
            expected=f"{needed / 1e9:.1f} GB free for {cases} cases of {bytes_a_case(channels, shape) / 1e6:.1f} MB",
            found=f"{free / 1e9:.1f} GB",
            remedy="free space, choose another store=, or a smaller image_size=",
        )
