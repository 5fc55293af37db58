"""Exceptions for invalid user input: each states where, what was expected, what was found, and what to do."""

import errno
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final, get_args

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_BROKEN = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE)
_NO_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
#: Out-of-memory messages of torch, its CUDA allocator and SimpleITK, which do not raise MemoryError.
_NO_MEMORY = re.compile(r"not enough memory|allocate memory|out of memory|bad_alloc", re.IGNORECASE)
_LONGEST = 80
#: Characters that break a line or are invisible.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class InputError(Exception):
    """Invalid input from the user; the program prints this message and stops with exit code 2.

    Args:
        where: the invalid file, folder or configuration key.
        expected: what would be valid.
        found: what was there instead.
        remedy: what the user can do, in the imperative.
    """

    exit_code = 2

    def __init__(self, where: str | Path, *, expected: str, found: str, remedy: str) -> None:
        self.where, self.expected, self.found, self.remedy = str(where), expected, found, remedy
        super().__init__(f"{where}: expected {expected}, found {found}; {remedy}.")

    def __reduce__(self) -> tuple:
        """Make the error picklable, so that a worker process can return it."""
        return _rebuild, (type(self), self.where, self.expected, self.found, self.remedy)

    def drop_frames(self) -> None:
        """Drop the traceback, which would keep the volumes of its frames in memory."""
        self.__cause__ = self.__context__ = self.__traceback__ = None


def _rebuild(kind: type[InputError], where: str, expected: str, found: str, remedy: str) -> InputError:
    return kind(where, expected=expected, found=found, remedy=remedy)


def shortened(text: object) -> str:
    """Return a text for a message: on one line, with the middle of a long text omitted."""
    whole = _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(text))
    return (
        whole if len(whole) <= 4 * _LONGEST else f"{whole[:_LONGEST]}...{whole[-_LONGEST:]} ({len(whole)} characters)"
    )


def reason_of(error: BaseException, most: int = 200) -> str:
    """Return the message of an exception on one line without the full stop; without a message, its type."""
    return " ".join(str(error).split()).rstrip(".")[:most] or type(error).__name__


def examples(names: Sequence[object], most: int = 3) -> str:
    """Return the first of ``names``, for a message."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


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
    """Folds that cannot be generated from the available cases."""


@final
class ConfigError(InputError):
    """A configuration with unknown names or an invalid combination."""


@final
class CheckpointError(InputError):
    """A checkpoint or run folder that cannot be used."""


@final
class TrainingError(InputError):
    """A training with NaN or infinite values."""


@final
class DiskError(InputError):
    """A disk that is full, read-only or broken."""


def disk_error(error: OSError) -> DiskError | None:
    """Return a :class:`DiskError` for a full, read-only or broken disk; None for other causes."""
    again = "and repeat the command; finished work is kept"
    expected, remedy = "a working disk", f"check the disk or network share, {again}"
    if error.errno in _FULL:
        expected, remedy = "free space on the disk", f"free some space, {again}"
    elif error.errno == errno.EFBIG:
        expected, remedy = "free space on the disk", f"raise the limit on file size (ulimit -f), {again}"
    elif error.errno in _CLOSED:
        expected, remedy = "permission to read and write", f"change the permissions or choose another folder, {again}"
    elif error.errno in _NO_PATH:
        expected, remedy = "a usable path", f"correct the path, {again}"
    elif error.errno not in _BROKEN:
        return None
    where = "the disk" if error.filename is None else str(error.filename)
    return DiskError(where, expected=expected, found=error.strerror or type(error).__name__, remedy=remedy)


def require_valid(where: str, is_valid: object, expected: str, found: object) -> None:
    """Refuse the value of a configuration key unless it is valid.

    Raises:
        ConfigError: ``is_valid`` is false.
    """
    if not is_valid:
        raise ConfigError(where, expected=expected, found=repr(found), remedy=f"correct {where}=")


def is_whole(value: object, least: int, most: float = math.inf) -> bool:
    """Return whether a value is an integer, but not a boolean, from ``least`` to ``most``."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def require_choice(where: str, found: object, choices: Any) -> None:
    """Refuse a value that a ``Literal`` does not list.

    Raises:
        ConfigError: ``found`` is none of ``choices``.
    """
    known = [str(each) for each in get_args(choices)]
    if found not in get_args(choices):
        expected = " or ".join(known) if len(known) == 2 else f"one of {', '.join(known)}"
        raise ConfigError(where, expected=expected, found=str(found), remedy=f"correct {where}=")


@contextmanager
def disk_errors_named() -> Iterator[None]:
    """Convert errors of a full, read-only or broken disk into a :class:`DiskError` with the path and a remedy."""
    try:
        yield
    except OSError as error:
        known = disk_error(error)
        if known is None:
            raise
        raise known from error


@contextmanager
def enough_memory(scan: str | Path, *, remedy: str) -> Iterator[None]:
    """Convert running out of memory in the block into an error of this scan, so that the other scans can continue.

    Args:
        scan: file or name.
        remedy: what to do if main memory is exhausted; on a GPU the remedy is another device.

    Raises:
        ScanError: memory was exhausted.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and _NO_MEMORY.search(str(error)) is None:
            raise
        on_gpu = "CUDA" in str(error)
        raise ScanError(
            scan,
            expected=f"enough {'GPU ' if on_gpu else ''}memory for this scan",
            found="too little memory",
            remedy="add device=cpu" if on_gpu else remedy,
        ) from error
