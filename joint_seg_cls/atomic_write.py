"""Atomic writes: a file or folder is complete or absent, even if the writing process fails or is killed.

Partial output has a hidden name beside its target. The name contains its owner: a hash of the machine, the process
number and a token of the process. :func:`clear_partial` deletes partial output without a living owner.
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
"""Pattern of partial output, of living and of killed processes."""

_OWNER = re.compile(r"\.partial-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-(?P<token>[0-9a-f]{6})-\d+-")
_TOKEN = secrets.token_hex(3)  # in a container, each run may have the same process number
_COUNT = itertools.count()
#: Partial output that was not written to for this long is abandoned, on any machine.
_ABANDONED_S = 24 * 3600
#: Number of characters of the file name kept in the partial name: all suffixes, and far below 255 bytes in UTF-8.
_KEPT = 40
#: Bytes written to find out why a write was cut short.
_PROBE = 1 << 20


@contextmanager
def atomic_file(path: Path, *, keep: bool = False) -> Iterator[Path]:
    """Yield a hidden path beside ``path``, with its suffix; it is renamed to ``path`` at the end of the block.

    If the block raises, ``path`` is unchanged and nothing is left beside it. Two processes can write the same
    file at the same time.

    Args:
        keep: keep a file that another process has written meanwhile; by default the last writer wins.

    Raises:
        OSError: the file cannot be written; ``filename`` is ``path`` and ``errno`` is the cause.
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
def atomic_folder(path: Path, *, keep: bool = False) -> Iterator[Path]:
    """Yield a hidden empty folder beside ``path``; it is renamed to ``path`` at the end of the block.

    Args:
        keep: keep an existing folder; by default it is replaced.

    Raises:
        OSError: as for :func:`atomic_file`.
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
    """Return a hidden path beside ``path``, unique to this process, with the same suffixes."""
    return path.with_name(f".partial-{_machine()}-{os.getpid()}-{_TOKEN}-{next(_COUNT)}-{path.name[-_KEPT:]}")


def clear_partial(folder: Path, *, below: bool = False) -> None:
    """Delete partial output of killed processes in ``folder``, and with ``below`` also in its subfolders.

    Partial output of a living process of this machine is kept. Whether a process of another machine lives is unknown:
    its partial output is deleted one day after the last write.
    """
    for left in list(folder.rglob(PARTIAL_FILES) if below else folder.glob(PARTIAL_FILES)):
        with suppress(OSError):  # cleared by another process, or the disk is read-only
            if _is_abandoned(left):
                _delete(left)


def write_text(path: Path, text: str, *, keep: bool = False) -> None:
    """Write ``text`` in UTF-8, without changing line ends; ``keep`` as for :func:`atomic_file`."""
    with atomic_file(path, keep=keep) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, record: dict[str, Any], *, keep: bool = False) -> None:
    """Write ``record`` as indented JSON; ``keep`` as for :func:`atomic_file`.

    Raises:
        ValueError: the record contains NaN or infinity, which JSON does not support (see :func:`nan_as_null`).
    """
    write_text(path, json.dumps(record, indent=1, allow_nan=False), keep=keep)


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; empty if it is missing, damaged, or no mapping."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def nan_as_null(record: Any) -> Any:
    """Return a record with null in place of NaN and infinity, which JSON does not support."""
    return json.loads(json.dumps(record), parse_constant=lambda _: None)


@cache
def _machine() -> str:
    """Return a hash of the machine or container that process numbers refer to."""
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
    return owner["token"] != _TOKEN if process == os.getpid() else not is_alive(process)


def is_alive(process: int) -> bool:
    """Return whether a process runs; one that has ended but was not collected by its parent does not."""
    if os.name != "posix":
        return True  # on Windows, signal 0 is Ctrl-C
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    try:
        state = (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        )
    except (OSError, IndexError):  # not Linux, or it has just ended
        return True
    return state not in ("Z", "X")


@contextmanager
def _writing(path: Path, partial: Path) -> Iterator[None]:
    """Name ``path`` in disk errors and delete ``partial``."""
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
    """Return the system error that caused ``error``, or None if the disk is not the cause."""
    chain: list[BaseException] = [error]
    while (behind := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(behind)
    found = [each for each in chain if isinstance(each, OSError)]
    if (numbered := next((each for each in found if each.errno is not None), None)) is not None:
        return numbered
    unknown = OSError(errno.EIO, "only part of it was written") if found else None
    return _refusal(partial) or unknown


def _refusal(partial: Path) -> OSError | None:
    """Append to the partial file to get the error that numpy, PIL and torch do not report."""
    try:
        files = [each for each in partial.rglob("*") if each.is_file()] if partial.is_dir() else [partial]
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
