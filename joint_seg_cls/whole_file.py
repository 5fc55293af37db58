"""Files and folders that appear whole or not at all, whoever fails or is killed while writing them.

What is being written lies beside its place under a hidden name that holds its owner: a hash of the machine, the process
number, and a token of the process. :func:`clear_partial` deletes what no living process owns.
"""

import errno
import hashlib
import itertools
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

PARTIAL_FILES = ".partial-*"
"""Pattern of what is being written, or was when its process was killed."""

_OWNER = re.compile(r"\.partial-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-(?P<token>[0-9a-f]{6})-\d+-")
_TOKEN = secrets.token_hex(3)  # in a container every run may have the same process number
_COUNT = itertools.count()
#: Nobody takes so long between two writes: what is older was left behind, on whatever machine.
_ABANDONED_S = 24 * 3600
#: Characters of a file's name that the partial name repeats: all suffixes, and in UTF-8 well below 255 bytes.
_KEPT = 40
#: Bytes that are written to learn why a disk took only part of a file.
_PROBE = 1 << 20


@contextmanager
def whole_file(path: Path, *, keep: bool = False) -> Iterator[Path]:
    """Give a hidden place beside ``path``, with its suffix; what is written there becomes ``path`` at the end.

    An error in the block leaves ``path`` as it was, and nothing beside it. Two processes that write the same file do
    not disturb each other.

    Args:
        path: the file.
        keep: whether a file that another process has put there meanwhile stays; otherwise the last one stands.

    Raises:
        OSError: the file cannot be written; ``filename`` is ``path`` and ``errno`` says why.
    """
    partial = partial_path(path)
    with _writing(path, partial):
        yield partial
        if not keep:
            partial.replace(path)
            return
        try:
            os.link(partial, path)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            partial.replace(path)


@contextmanager
def whole_folder(path: Path, *, keep: bool = False) -> Iterator[Path]:
    """Give a hidden empty folder beside ``path``; with all that is written there it becomes ``path`` at the end.

    Args:
        path: the folder.
        keep: whether a folder that is there stays; otherwise it is replaced.

    Raises:
        OSError: as :func:`whole_file`.
    """
    partial = partial_path(path)
    with _writing(path, partial):
        partial.mkdir(parents=True)
        yield partial
        while not _moved(partial, path) and not keep:
            replaced = partial_path(path)
            with suppress(FileNotFoundError):
                path.rename(replaced)
            shutil.rmtree(replaced, ignore_errors=True)


def partial_path(path: Path) -> Path:
    """Return a hidden place beside ``path`` that no other process uses, and that ends as ``path`` does."""
    return path.with_name(f".partial-{_machine()}-{os.getpid()}-{_TOKEN}-{next(_COUNT)}-{path.name[-_KEPT:]}")


def clear_partial(folder: Path, *, below: bool = False) -> None:
    """Delete what killed processes left half-written in ``folder``, and in all folders ``below`` it.

    A process of this machine owns what it writes as long as it lives. Of other machines' processes nothing is known:
    what they left is deleted a day after the last write.
    """
    for left in list(folder.rglob(PARTIAL_FILES) if below else folder.glob(PARTIAL_FILES)):
        with suppress(OSError):  # another process clears the same folder, or the disk is read-only
            if _is_abandoned(left):
                _delete(left)


def write_text(path: Path, text: str, *, keep: bool = False) -> None:
    """Write ``text`` in UTF-8, line ends as they are; ``keep`` as for :func:`whole_file`."""
    with whole_file(path, keep=keep) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, record: dict[str, Any], *, keep: bool = False) -> None:
    """Write ``record`` in lines that a person can read; ``keep`` as for :func:`whole_file`.

    Raises:
        ValueError: the record holds NaN or infinity, for which JSON has no word (see :func:`nan_as_null`).
    """
    write_text(path, json.dumps(record, indent=1, allow_nan=False), keep=keep)


def nan_as_null(record: Any) -> Any:
    """Return a record as JSON holds it, with null in place of NaN and infinity."""
    return json.loads(json.dumps(record), parse_constant=lambda _: None)


@cache
def _machine() -> str:
    """Return a hash of what process numbers belong to: the machine, or the container on it."""
    try:
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:  # not Linux
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _is_abandoned(partial: Path) -> bool:
    owner = _OWNER.match(partial.name)
    if owner is None:
        return False
    if time.time() - partial.lstat().st_mtime > _ABANDONED_S:
        return True
    if owner["machine"] != _machine():
        return False
    process = int(owner["process"])
    return owner["token"] != _TOKEN if process == os.getpid() else not _is_alive(process)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True  # there, signal 0 is Ctrl-C
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


@contextmanager
def _writing(path: Path, partial: Path) -> Iterator[None]:
    """Name ``path`` in errors of the disk, and leave nothing of ``partial``."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:  # torch and zipfile raise the last two on a full disk
        reason = _reason(error, partial)
        if reason is None:
            raise
        raise OSError(reason.errno, reason.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            _delete(partial)


def _reason(error: BaseException, partial: Path) -> OSError | None:
    """Return the error of the system behind ``error``, or None where the disk is not the cause."""
    chain: list[BaseException] = [error]
    while (behind := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(behind)
    found = [each for each in chain if isinstance(each, OSError)]
    if (numbered := next((each for each in found if each.errno is not None), None)) is not None:
        return numbered
    unknown = OSError(errno.EIO, "only part of it was written") if found else None
    return _refusal(partial) or unknown


def _refusal(partial: Path) -> OSError | None:
    """Write a little more to what was cut short: numpy, PIL and torch leave out why the disk took only part of it."""
    try:
        files = [each for each in partial.iterdir() if each.is_file()] if partial.is_dir() else [partial]
        for newest in sorted(files, key=lambda each: each.stat().st_mtime_ns)[-1:]:
            with newest.open("ab", buffering=0) as file:
                if file.write(bytes(_PROBE)) < _PROBE:
                    file.write(bytes(_PROBE))
    except OSError as error:
        return error
    return None


def _moved(partial: Path, path: Path) -> bool:
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _delete(partial: Path) -> None:
    if partial.is_dir() and not partial.is_symlink():
        shutil.rmtree(partial)
    else:
        partial.unlink(missing_ok=True)
