"""Start of the jobs of a sweep: as forks of one process that has imported torch, or as new interpreters."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, final

from joint_seg_cls.atomic_write import is_alive
from joint_seg_cls.sweep.forker import LONGEST
from joint_seg_cls.sweep.slots import Job, Slot, Start, start_fresh

#: What a training imports.
TRAINING = ("joint_seg_cls.cli.main", "joint_seg_cls.commands.train", "joint_seg_cls.losses")
_POLL_S = 0.05


@contextmanager
def starter(slots: Sequence[Slot], jobs: int, modules: Sequence[str] = TRAINING) -> Iterator[Start]:
    """Return how to start ``jobs`` jobs.

    Forks on Linux for several jobs without GPUs. A job with GPUs is a new interpreter, which sees only its GPUs
    even if an import initialised CUDA.
    """
    if sys.platform != "linux" or jobs < 2 or any(slot.gpus for slot in slots):
        yield start_fresh
        return
    forker = _Forker(slots[0], modules)
    try:
        yield forker.start
    finally:
        forker.close()


@final
class _Forker:
    """The launcher's side of :mod:`.forker`; starts new interpreters once that process has ended."""

    def __init__(self, slot: Slot, modules: Sequence[str]) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._codes: dict[int, int] = {}
        self.is_alive = True
        with other:  # every slot has as many cores, so the libraries count the same for all
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "joint_seg_cls.sweep.forker", str(other.fileno()), *modules],
                env=os.environ | slot.environment(),
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start(self, job: Job, environment: Mapping[str, str]) -> "subprocess.Popen | _Fork":
        """Start a job, whose folder is the last word of its command."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        message = json.dumps({"folder": job.command[-1], "environment": dict(environment)}).encode()
        if self.is_alive and len(message) < LONGEST:
            reading, writing = os.pipe()
            stdin = os.fdopen(writing, "wb")  # closed on Ctrl-C too, which stops a fork that is about to begin
            with job.log.open("ab") as log, suppress(OSError):  # the process may have ended
                socket.send_fds(self._socket, [message], [reading, log.fileno()])
            os.close(reading)
            while (reply := self._reply()) is not None:
                if "started" in reply:
                    return _Fork(reply["started"], stdin, self)
            stdin.close()
        return start_fresh(job, environment)

    def code(self, pid: int) -> int | None:
        """Return the exit code of a fork; None while it runs."""
        while pid not in self._codes and self.is_alive and select.select([self._socket], [], [], 0)[0]:
            self._reply()
        if pid not in self._codes and not self.is_alive and not is_alive(pid):
            self._codes[pid] = 1  # its parent has ended, so the code is lost
        return self._codes.get(pid)

    def close(self) -> None:
        """End the process, which has no fork left."""
        self._socket.close()
        self._process.terminate()
        self._process.wait()

    def _reply(self) -> dict[str, int] | None:
        """Return the next reply, None if the process has ended."""
        message = b""
        with suppress(ConnectionError):
            message = self._socket.recv(LONGEST)
        if not message:
            self.is_alive = False
            return None
        reply: dict[str, int] = json.loads(message)
        if "ended" in reply:
            self._codes[reply["ended"]] = reply["code"]
        return reply


@final
class _Fork:
    """A job's process, with the methods of ``subprocess.Popen`` that a launcher uses."""

    def __init__(self, pid: int, stdin: IO[bytes], forker: _Forker) -> None:
        self.pid, self.stdin, self._forker = pid, stdin, forker

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._forker.code(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process and return its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended after ``timeout`` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if timeout is not None and end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"job {self.pid}", timeout)
            time.sleep(_POLL_S)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
