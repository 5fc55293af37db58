"""A sweep's job files, in a temporary folder of its own that outlives neither the sweep nor, for long, its death."""

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
#: Held by the sweep's process, and in the folder of each job by the job's: a folder is left when no lock is held.
LOCK = "owner.lock"
#: A folder that is younger may be about to get its lock.
_NEW_S = 1.0


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a temporary folder; clear those that sweeps of this user left which were killed."""
    clear_leftovers()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, FileLock(Path(name) / LOCK):
        yield Path(name)


def clear_leftovers() -> None:
    """Delete the folders of sweeps that no living process owns."""
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
