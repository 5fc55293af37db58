"""Job slots of one machine: one job per slot at a time, each in a new process."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, final

from filelock import FileLock, Timeout

from joint_seg_cls.config.resolvers import VISIBLE
from joint_seg_cls.errors import ConfigError

_POLL_S = 0.1
#: Time that a job has to stop after Ctrl-C.
GRACE_S = 30.0
#: Environment variable: the cores assigned to a job, so that parallel jobs do not compete.
CORES = "JSC_CORES"
#: Prefix of the temporary folder of a sweep.
_PREFIX = "jsc-sweep-"
#: Locked by the sweep, and in each job's folder by the job; a folder without a held lock is abandoned.
LOCK = "owner.lock"
#: A younger folder may not have its lock yet.
_NEW_S = 1.0


@final
@dataclass(frozen=True)
class Slot:
    """A slot for one job at a time: its GPUs (none for the CPU) and its cores."""

    name: str
    gpus: tuple[str, ...] = ()
    cores: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a job needs before it imports torch."""
        variables = {VISIBLE: ",".join(self.gpus), CORES: ",".join(map(str, self.cores))}
        if self.cores and not self.gpus:
            variables["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(len(self.cores)))
        return variables


@final
@dataclass(frozen=True)
class Job:
    """A named command and the file of its output."""

    name: str
    command: Sequence[str]
    log: Path


class Process(Protocol):
    """What a launcher needs of a job's process: these parts of ``subprocess.Popen``."""

    @property
    def pid(self) -> int:
        """Its id, and its group's."""
        ...

    @property
    def stdin(self) -> IO[bytes] | None:
        """A pipe that ends with the launcher; the job then stops."""
        ...

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code."""
        ...

    def send_signal(self, number: signal.Signals, /) -> None:
        """Send a signal, unless the process has ended."""
        ...


#: Starts a job with additional environment variables.
Start = Callable[[Job, Mapping[str, str]], Process]


def machine_slots(gpus: Sequence[str], *, gpus_per_job: int, slots_per_gpu: int, workers: int) -> list[Slot]:
    """Return the slots of the machine: per GPU, or ``workers`` on the CPU if there is no GPU.

    Raises:
        ConfigError: the settings give no slot.
    """
    if len(set(gpus)) < len(gpus):
        raise ConfigError(
            "hydra.launcher.gpus", expected="each GPU once", found=", ".join(gpus), remedy="use slots_per_gpu for more"
        )
    least = min(gpus_per_job, slots_per_gpu, workers)
    if least < 1 or (gpus and gpus_per_job > len(gpus)) or (gpus_per_job > 1 and slots_per_gpu > 1):
        raise ConfigError(
            "hydra.launcher",
            expected=f"one job or more on each of {len(gpus)} GPUs, or each job on several of them",
            found=f"gpus_per_job={gpus_per_job}, slots_per_gpu={slots_per_gpu}, workers={workers}",
            remedy="correct these settings",
        )
    groups = [tuple(gpus[i : i + gpus_per_job]) for i in range(0, len(gpus) - gpus_per_job + 1, gpus_per_job)]
    if not gpus:
        named = [(f"worker {number}", ()) for number in range(workers)]
    else:
        named = [
            (f"GPU {'+'.join(group)}" + (f" slot {number}" if slots_per_gpu > 1 else ""), group)
            for number in range(slots_per_gpu)  # first slots of all GPUs first
            for group in groups
        ]
    return [Slot(name, group, cores) for (name, group), cores in zip(named, _split_cores(len(named)), strict=True)]


def run_in_slots(
    jobs: Sequence[Job],
    slots: Sequence[Slot],
    *,
    on_start: Callable[[Job, Slot], None],
    on_end: Callable[[Job, int], None],
    start: Start | None = None,
) -> list[int]:
    """Run every job in the first free slot; return the exit codes.

    A failed job does not stop the others. If this function is interrupted (Ctrl-C), so are the jobs. They are started
    by ``start``, by default in new interpreters.
    """
    codes = [0] * len(jobs)
    waiting, free = deque(enumerate(jobs)), list(range(len(slots)))
    running: dict[int, tuple[int, Process]] = {}
    try:
        while waiting or running:
            while waiting and free:
                number, job = waiting.popleft()
                index = free.pop(0)
                running[number] = index, (start or start_fresh)(job, slots[index].environment())
                on_start(job, slots[index])
            for number, (index, process) in list(running.items()):
                if (code := process.poll()) is None:
                    continue
                del running[number]
                codes[number] = code
                _close(process)
                free = sorted([*free, index])
                on_end(jobs[number], code)
            time.sleep(_POLL_S)
    finally:
        _stop([process for _, process in running.values()])
    return codes


def start_fresh(job: Job, environment: Mapping[str, str]) -> subprocess.Popen:
    """Start a job in a new interpreter."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the command is our own
            list(job.command),
            env=os.environ | environment,
            stdin=subprocess.PIPE,  # closes when this process ends; the job then stops itself
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the job only through `_stop`
        )


def _stop(processes: Sequence[Process]) -> None:
    """Interrupt the processes; kill those still running after a grace period or at a second Ctrl-C."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    end = time.monotonic() + GRACE_S
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, end - time.monotonic()))
    finally:
        for process in processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            _close(process)


def _close(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _split_cores(slots: int) -> list[tuple[int, ...]]:
    """Split this process's cores between the slots; no assignment if there are fewer cores than slots."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    each = len(cores) // slots
    return [tuple(cores[i * each : (i + 1) * each]) for i in range(slots)]


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
