"""A run's folder: what lies where, whether it is done, and the guard against two configurations in one folder.

::

    <run>/config.yaml        the resolved configuration
    <run>/provenance.json    code, packages, data hash, split hash, hardware, time
    <run>/metrics.csv        one row an epoch
    <run>/per_case.csv       one row a test scan
    <run>/checkpoints/       last.ckpt, and best.ckpt where the protocol chooses one
    <run>/log.txt            everything the program said
    <run>/heartbeat          touched each minute while the run lives, taken away when it is interrupted
    <run>/DONE | FAILED      written last; a run with neither was interrupted and is resumed
"""

import csv
import errno
import json
import logging
import math
import os
import platform
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, final

from filelock import FileLock, Timeout

from joint_seg_cls import __version__
from joint_seg_cls.errors import ConfigError, InputError
from joint_seg_cls.run_state import CONFIG, DONE, FAILED, HEARTBEAT, HEARTBEAT_S, LOG, METRICS
from joint_seg_cls.whole_file import PARTIAL_FILES, write_json, write_text

_log = logging.getLogger(__name__)
#: The disk is full, its quota is used up, the largest file is reached, or nothing may be written.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_PACKAGES = (
    "torch",
    "lightning",
    "monai",
    "hydra-core",
    "omegaconf",
    "numpy",
    "scipy",
    "nibabel",
    "torchmetrics",
    "wandb",
)


@final
class RunFolder:
    """One training's place on disk. Creating the object touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG
        self.provenance = path / "provenance.json"
        self.metrics = path / METRICS
        self.per_case = path / "per_case.csv"
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self._lock = FileLock(path / ".lock")

    def is_done(self, *, tested: bool) -> bool:
        """Return whether everything of this run is written; ``tested``: the test of its fold too."""
        return (self.path / DONE).is_file() and (self.per_case.is_file() or not tested)

    def identity(self) -> dict[str, Any] | None:
        """Return what decides the numbers of the run in this folder, or None where there is no run yet."""
        if not self.provenance.is_file():
            return None
        try:
            return dict(json.loads(self.provenance.read_text(encoding="utf-8"))["identity"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                self.provenance,
                expected="what the run in this folder was made of",
                found=f"a damaged file ({type(error).__name__})",
                remedy="move the run folder away, or delete it to train anew",
            ) from error

    def refuse_other(self, identity: dict[str, Any]) -> None:
        """Refuse a folder that holds another run.

        Args:
            identity: everything that decides the run's numbers, as flat key-value pairs.

        Raises:
            ConfigError: the folder holds a run with another identity.
        """
        there = self.identity()
        if there is None:
            return
        own = json.loads(json.dumps(identity))
        differing = sorted(key for key in own.keys() | there.keys() if own.get(key) != there.get(key))
        if differing:
            key = differing[0]
            raise ConfigError(
                self.path,
                expected=f"a run with {key} = {identity.get(key)}",
                found=f"one with {key} = {there.get(key)}",
                remedy="choose another runs= or collection=, or move that run away",
            )

    def _take(self) -> None:
        """Hold the folder until this process ends, however it ends."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                self.path,
                expected="a run that no other process is training",
                found="one at work",
                remedy="wait for it, or stop it first",
            ) from None

    @contextmanager
    def recording(self, identity: dict[str, Any], config_text: str) -> Iterator[None]:
        """Hold the folder, keep a log and a heartbeat while the block runs; a failure leaves ``FAILED``.

        Args:
            identity: as for :meth:`refuse_other`.
            config_text: the resolved configuration as YAML.

        Raises:
            ConfigError: another process is at work in the folder, or it cannot be made.
        """
        try:
            self._begin(identity, config_text)
            handler = _LogFile(self.path / LOG, encoding="utf-8")
        except OSError as error:
            self._lock.release()
            raise _of_the_disk(self.path, error) or error from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("joint_seg_cls")
        logger.addHandler(handler)
        stop = threading.Event()
        beating = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        beating.start()
        is_interrupted = False
        try:
            yield
        except (KeyboardInterrupt, SystemExit):  # by a person, or by a cluster that wants its machine back
            _log.info("interrupted; the same command resumes after the last finished epoch")
            is_interrupted = True
            raise
        except BaseException as error:
            told = _of_the_disk(self.path, error) or error
            text = str(told) if isinstance(told, InputError) else traceback.format_exc()
            with suppress(OSError):  # the disk may be full
                write_text(self.path / FAILED, f"{_now()}\n{text}\n")
            if told is error:
                raise
            raise told from error
        finally:
            self._lock.release()
            stop.set()
            beating.join()
            if is_interrupted:
                (self.path / HEARTBEAT).unlink(missing_ok=True)
            logger.removeHandler(handler)
            handler.close()

    def _begin(self, identity: dict[str, Any], config_text: str) -> None:
        """Take the folder and say what will be in it."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            found = error.strerror or str(error)
            raise ConfigError(
                self.path, expected="a folder that can be made", found=found, remedy="choose another runs="
            ) from error
        self._take()
        try:  # again: another may have taken the folder since it was looked at
            self.refuse_other(identity)
        except ConfigError:
            self._lock.release()
            raise
        for ended in (FAILED, DONE):  # done, but not yet tested
            (self.path / ended).unlink(missing_ok=True)
        for left in self.path.rglob(PARTIAL_FILES):
            left.unlink()
        write_text(self.config, config_text)
        write_json(self.provenance, _provenance(identity))

    def best_score(self) -> float | None:
        """Return the highest ``val/score`` of any epoch, or None where the protocol validates nothing.

        Raises:
            ConfigError: the table of epochs is damaged.
        """
        if not self.metrics.is_file():
            return None
        try:
            with self.metrics.open(newline="", encoding="utf-8") as file:
                scores = [float(row["val/score"]) for row in csv.DictReader(file) if row.get("val/score")]
        except (OSError, ValueError, csv.Error) as error:
            raise ConfigError(
                self.metrics,
                expected="one row of numbers an epoch",
                found=f"a damaged file ({type(error).__name__})",
                remedy=f"delete {DONE} beside it and repeat the command: it is written anew, nothing is trained again",
            ) from error
        return max(filter(math.isfinite, scores), default=None)

    def finish(self, **facts: Any) -> None:
        """Say that everything is written."""
        write_text(self.path / DONE, json.dumps({"time": _now(), **facts}, allow_nan=False))

    def _beat(self, stop: threading.Event) -> None:
        (self.path / HEARTBEAT).touch()
        while not stop.wait(HEARTBEAT_S):
            (self.path / HEARTBEAT).touch()


class _LogFile(logging.FileHandler):
    """A log whose lines are lost, without a word more, where the disk takes none; the terminal shows them too."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as logging calls it
        """Do nothing: logging would print a traceback for every line."""


def _of_the_disk(path: Path, error: BaseException) -> ConfigError | None:
    """Return what to say where the disk takes no more; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _DISK_ERRORS:
        return None
    return ConfigError(
        error.filename or path,
        expected="room to write to",
        found=error.strerror or str(error),
        remedy="make room, and repeat the command: it goes on after the last epoch that was kept",
    )


def _provenance(identity: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {
        "time": _now(),
        "joint_seg_cls": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "identity": identity,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
