"""A run folder: its files, its state, and the check against two configurations in one folder.

::

    <run>/config.yaml        the resolved configuration
    <run>/provenance.json    code, packages, data hash, split hash, hardware, time
    <run>/metrics.csv        one row per epoch
    <run>/per_case.csv       one row per test scan
    <run>/checkpoints/       last.ckpt, and best.ckpt if the protocol selects one
    <run>/log.txt            the log
    <run>/heartbeat          updated every minute while the run is active, removed when it is interrupted
    <run>/DONE | FAILED      written last; a run with neither was interrupted and can be resumed
"""

import csv
import json
import logging
import math
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from filelock import FileLock, Timeout

from joint_seg_cls.atomic_write import clear_partial, nan_as_null, write_json, write_text
from joint_seg_cls.errors import ConfigError, InputError, disk_error
from joint_seg_cls.run_state import CONFIG, DONE, FAILED, HEARTBEAT, HEARTBEAT_S, LOG, METRICS, PER_CASE, PROVENANCE
from joint_seg_cls.training.provenance import ACCEPT_CODE, code_of, is_code, is_compatible, now, provenance

_log = logging.getLogger(__name__)


@final
class RunFolder:
    """The folder of one training. The constructor does not access the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG
        self.provenance = path / PROVENANCE
        self.metrics = path / METRICS
        self.per_case = path / PER_CASE
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self._lock = FileLock(path / ".lock")

    def is_done(self, *, tested: bool) -> bool:
        """Return whether the run is finished; with ``tested``, including the test of its fold."""
        return (self.path / DONE).is_file() and (self.per_case.is_file() or not tested)

    def identity(self) -> dict[str, Any] | None:
        """Return the identity of the run in this folder, or None if there is no run yet."""
        if not self.provenance.is_file():
            return None
        try:
            return dict(self._provenance()["identity"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(
                self.provenance,
                expected="the record of the run in this folder",
                found=f"a damaged file ({type(error).__name__})",
                remedy="move the run folder away, or delete it to train again",
            ) from error

    def threads(self) -> int | None:
        """Return the number of CPU threads of the run that is to be resumed; None for a new run."""
        found = self._provenance().get("threads") if self.last.is_file() else None
        return found if isinstance(found, int) and found > 0 else None

    def _provenance(self) -> dict[str, Any]:
        return json.loads(self.provenance.read_text(encoding="utf-8"))

    def refuse_other(self, identity: dict[str, Any], *, accept_code: bool = False) -> None:
        """Refuse a folder that contains another run.

        Args:
            identity: all keys and facts that change results, flattened.
            accept_code: whether a run of other code is accepted.

        Raises:
            ConfigError: the folder contains a run with another identity.
        """
        there = self.identity()
        if there is None:
            return
        own = nan_as_null(identity)
        differing = sorted(key for key in own.keys() | there.keys() if own.get(key) != there.get(key))
        code = [key for key in differing if is_code(key)]
        if differing and differing == code:
            if not accept_code and not is_compatible(own, there):
                raise ConfigError(
                    self.path,
                    expected="a run of the present code",
                    found=f"a run of other code ({', '.join(key.removeprefix('code.') for key in code)})",
                    remedy=f"move that run away to train again, or add accept=[{ACCEPT_CODE}] to continue it",
                )
            return
        if differing:
            key = next(key for key in differing if key not in code)
            raise ConfigError(
                self.path,
                expected=f"a run with {key} = {identity.get(key)}",
                found=f"a run with {key} = {there.get(key)}",
                remedy="choose another runs= or collection=, or move that run away",
            )

    def _take(self) -> None:
        """Lock the folder until this process ends."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                self.path,
                expected="a run that no other process is training",
                found="another process is training it",
                remedy="wait for it, or stop it first",
            ) from None

    @contextmanager
    def recording(
        self,
        identity: dict[str, Any],
        config_text: str,
        *,
        more: Mapping[str, Any] | None = None,
        accept_code: bool = False,
    ) -> Iterator[None]:
        """Lock the folder, and write a log and a heartbeat in the block; an error writes ``FAILED``.

        Args:
            identity: as for :meth:`refuse_other`.
            config_text: the resolved configuration as YAML.
            more: further entries of ``provenance.json``.
            accept_code: as for :meth:`refuse_other`.

        Raises:
            ConfigError: another process is training the run, or the folder cannot be created.
        """
        try:
            self._begin(identity, config_text, dict(more or {}), accept_code=accept_code)
        except OSError as error:
            raise disk_error(error) or error from error
        handler = _Log(self.path / LOG, encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("joint_seg_cls")
        logger.addHandler(handler)
        stop = threading.Event()
        beating = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        beating.start()
        is_interrupted = False
        try:
            yield
        except (KeyboardInterrupt, SystemExit):  # by the user, or by a cluster
            _log.info("interrupted; the same command resumes after the last finished epoch")
            is_interrupted = True
            raise
        except BaseException as error:  # noqa: BLE001 - raised again, as a named error
            known = (disk_error(error) if isinstance(error, OSError) else None) or error
            text = str(known) if isinstance(known, InputError) else traceback.format_exc()
            with suppress(OSError):  # the disk itself may have failed
                write_text(self.path / FAILED, f"{now()}\n{text}\n")
            raise known from (None if known is error else error)
        finally:
            self._lock.release()
            stop.set()
            beating.join()
            if is_interrupted:
                (self.path / HEARTBEAT).unlink(missing_ok=True)
            logger.removeHandler(handler)
            handler.close()

    def _begin(self, identity: dict[str, Any], config_text: str, more: dict[str, Any], *, accept_code: bool) -> None:
        """Lock the folder and write the configuration and the provenance."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            found = error.strerror or str(error)
            raise ConfigError(
                self.path, expected="a writable folder", found=found, remedy="choose another runs="
            ) from error
        self._take()
        try:
            self.refuse_other(identity, accept_code=accept_code)  # another process may have written to the folder
            more["earlier_code"] = self._earlier_code(identity)
            for ended in (FAILED, DONE):  # DONE of a run that is not yet tested
                (self.path / ended).unlink(missing_ok=True)
            clear_partial(self.path, below=True)
            write_text(self.config, config_text)
            write_json(self.provenance, provenance(nan_as_null(identity)) | more)
        except BaseException:
            self._lock.release()
            raise

    def _earlier_code(self, identity: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the code of earlier epochs of this run, if it differs from the present code."""
        there = self.identity()
        if there is None or not self.last.is_file():
            return []
        earlier = list(self._provenance().get("earlier_code", []))
        then, now = (code_of(each) for each in (there, identity))
        return earlier if then == now or not then else [*earlier, then]

    def best_score(self) -> float | None:
        """Return the highest ``val/score`` of all epochs; None without validation.

        Raises:
            ConfigError: the table of epochs is damaged.
        """
        if not self.metrics.is_file():
            return None
        try:
            with self.metrics.open(newline="", encoding="utf-8") as file:
                scores = [float(row["val/score"]) for row in csv.DictReader(file) if row.get("val/score")]
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise ConfigError(
                self.metrics,
                expected="a table with one row of numbers per epoch",
                found=f"a damaged file ({type(error).__name__})",
                remedy=f"delete {DONE} beside it and repeat the command, which rewrites it without training",
            ) from error
        return max(filter(math.isfinite, scores), default=None)

    def finish(self, **facts: Any) -> None:
        """Write ``DONE``."""
        write_json(self.path / DONE, {"time": now(), **facts})

    def _beat(self, stop: threading.Event) -> None:
        is_first = True
        while is_first or not stop.wait(HEARTBEAT_S):
            is_first = False
            with suppress(OSError):  # the disk may be full or temporarily unavailable
                (self.path / HEARTBEAT).touch()


@final
class _Log(logging.FileHandler):
    """A log file that ignores a full disk; Python's handler would print a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Do nothing."""
