"""Named failures of a user's input: each says where, what was expected, what was found, and what to do."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_BROKEN = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE)
_NO_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
#: What torch, its CUDA allocator and SimpleITK call it; none of them raises MemoryError.
_NO_MEMORY = re.compile(r"not enough memory|allocate memory|out of memory|bad_alloc", re.IGNORECASE)


class InputError(Exception):
    """Something the user gave does not fit; the program stops with exit code 2 and this one sentence.

    Args:
        where: the file, folder or configuration key that is at fault.
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do about it, as an imperative.
    """

    exit_code = 2

    def __init__(self, where: str | Path, *, expected: str, found: str, remedy: str) -> None:
        self.where, self.expected, self.found, self.remedy = str(where), expected, found, remedy
        super().__init__(f"{where}: expected {expected}, found {found}; {remedy}.")

    def __reduce__(self) -> tuple:
        """Survive the way back from a worker process."""
        return _rebuild, (type(self), self.where, self.expected, self.found, self.remedy)

    def drop_frames(self) -> None:
        """Drop the frames that the error was raised in, whose volumes would stay in memory as long as it is kept."""
        self.__cause__ = self.__context__ = self.__traceback__ = None


def _rebuild(kind: type[InputError], where: str, expected: str, found: str, remedy: str) -> InputError:
    return kind(where, expected=expected, found=found, remedy=remedy)


@final
class ScanError(InputError):
    """A scan or mask file that cannot be used."""


@final
class CohortError(InputError):
    """A cohort table that cannot be used."""


@final
class StoreError(InputError):
    """A prepared store that cannot be used."""


@final
class SplitError(InputError):
    """Folds that cannot be made from the cases at hand."""


@final
class ConfigError(InputError):
    """A configuration that names something unknown or combines what does not fit."""


@final
class CheckpointError(InputError):
    """A checkpoint or run folder that cannot be used."""


@final
class TrainingError(InputError):
    """A training whose numbers are no longer finite."""


@final
class DiskError(InputError):
    """A disk that is full, read-only or broken."""


def disk_error(error: OSError) -> DiskError | None:
    """Return the sentence for a disk that does not take what is written; None where the cause is another."""
    again = "and repeat the command: what is finished stays"
    expected, remedy = "a disk that works", f"look after the disk or the share that it lies on, {again}"
    if error.errno in _FULL:
        expected, remedy = "room to write to", f"make room, {again}"
    elif error.errno == errno.EFBIG:
        expected, remedy = "room to write to", f"raise the limit on the size of files (ulimit -f), {again}"
    elif error.errno in _CLOSED:
        expected, remedy = "the right to read and write here", f"get that right, or choose another folder, {again}"
    elif error.errno in _NO_PATH:
        expected, remedy = "a path that can be used", f"correct it, or choose another, {again}"
    elif error.errno not in _BROKEN:
        return None
    where = "the disk" if error.filename is None else str(error.filename)
    return DiskError(where, expected=expected, found=error.strerror or type(error).__name__, remedy=remedy)


@contextmanager
def disk_errors_named() -> Iterator[None]:
    """Raise the error of a full, read-only or broken disk as one that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        known = disk_error(error)
        if known is None:
            raise
        raise known from error


@contextmanager
def enough_memory(scan: str | Path, *, remedy: str) -> Iterator[None]:
    """Make memory that ends in the block an error of this scan, so that the next one can still be worked on.

    Args:
        scan: file or name.
        remedy: what helps where the memory of the machine ended; on a GPU it is another device.

    Raises:
        ScanError: memory ended.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and _NO_MEMORY.search(str(error)) is None:
            raise
        on_gpu = "CUDA" in str(error)
        raise ScanError(
            scan,
            expected=f"{'GPU ' if on_gpu else ''}memory for this scan",
            found="too little",
            remedy="add device=cpu" if on_gpu else remedy,
        ) from error
