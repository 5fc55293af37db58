"""Files readable by their owner only."""

import os
from pathlib import Path

from joint_seg_cls.atomic_write import atomic_file


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to a file that only the owner can read. Atomic."""
    with atomic_file(path) as partial:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
