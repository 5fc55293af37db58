"""Temporary folders for a sweep's job files, removed after the sweep and, if it was killed, by the next one."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "jsc-sweep-"
#: Locked by the sweep, and in each job's folder by the job; a folder without a held lock is abandoned.
LOCK = "owner.lock"
#: A younger folder may not have its lock yet.
_NEW_S = 1.0


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a temporary folder; delete abandoned folders of this user's killed sweeps."""
    clear_leftovers()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, FileLock(Path(name) / LOCK):
        yield Path(name)


def clear_leftovers() -> None:
    """Delete the folders of sweeps whose processes have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or time.time() - found.st_mtime < _NEW_S:
                continue
            locks = list(folder.rglob(LOCK))
            if locks and not any(_is_held(lock) for lock in locks):
                shutil.rmtree(folder, ignore_errors=True)


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
