"""Places for jobs on one machine: never two jobs in a slot, a fresh process for each job."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

from joint_seg_cls.config.machine import VISIBLE
from joint_seg_cls.errors import ConfigError

_POLL_S = 0.1
#: How long a job may take to put its things in order after Ctrl-C.
GRACE_S = 30.0
#: The cores that a job's process keeps to, so that jobs side by side do not crowd each other.
CORES = "JSC_CORES"


@final
@dataclass(frozen=True)
class Slot:
    """Where one job runs at a time: on these GPUs (none for the CPU), with these cores."""

    name: str
    gpus: tuple[str, ...] = ()
    cores: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return what a job's process must know before it imports torch."""
        told = {VISIBLE: ",".join(self.gpus), CORES: ",".join(map(str, self.cores))}
        if self.cores and not self.gpus:
            told["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(len(self.cores)))
        return told


@final
@dataclass(frozen=True)
class Job:
    """A command, where it says what it says, and what it is called."""

    name: str
    command: Sequence[str]
    log: Path


def machine_slots(gpus: Sequence[str], *, gpus_per_job: int, slots_per_gpu: int, workers: int) -> list[Slot]:
    """Return the machine's slots: on its GPUs, or as many as ``workers`` on the CPU where there are none.

    Raises:
        ConfigError: numbers that give no slot.
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
            remedy="correct them",
        )
    groups = [tuple(gpus[i : i + gpus_per_job]) for i in range(0, len(gpus) - gpus_per_job + 1, gpus_per_job)]
    if not gpus:
        named = [(f"worker {number}", ()) for number in range(workers)]
    else:
        named = [
            (f"GPU {'+'.join(group)}" + (f" slot {number}" if slots_per_gpu > 1 else ""), group)
            for number in range(slots_per_gpu)  # the first slot of every GPU before the second of any
            for group in groups
        ]
    return [Slot(name, group, cores) for (name, group), cores in zip(named, _dealt_cores(len(named)), strict=True)]


def run_in_slots(
    jobs: Sequence[Job],
    slots: Sequence[Slot],
    *,
    on_start: Callable[[Job, Slot], None],
    on_end: Callable[[Job, int], None],
) -> list[int]:
    """Run every job, each in the first slot that is free; return their exit codes.

    A job that fails does not stop the others. Whatever stops this function (Ctrl-C) stops the jobs.
    """
    codes = [0] * len(jobs)
    waiting, free = deque(enumerate(jobs)), list(range(len(slots)))
    running: dict[int, tuple[int, subprocess.Popen]] = {}
    try:
        while waiting or running:
            while waiting and free:
                number, job = waiting.popleft()
                place = free.pop(0)
                running[number] = place, _start(job, slots[place].environment())
                on_start(job, slots[place])
            for number in [each for each, (_, process) in running.items() if process.poll() is not None]:
                place, process = running.pop(number)
                codes[number] = process.returncode
                _close(process)
                free = sorted([*free, place])
                on_end(jobs[number], process.returncode)
            time.sleep(_POLL_S)
    finally:
        _stop([process for _, process in running.values()])
    return codes


def _start(job: Job, environment: Mapping[str, str]) -> subprocess.Popen:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the command is our own
            list(job.command),
            env=os.environ | environment,
            stdin=subprocess.PIPE,  # closes when this process ends, however it ends: the job then stops by itself
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the job once, from here
        )


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Interrupt the processes; kill what is still there after a while, or at a second Ctrl-C."""
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


def _close(process: subprocess.Popen) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _dealt_cores(slots: int) -> list[tuple[int, ...]]:
    """Deal this process's cores to the slots; none where they do not suffice, which leaves all to each."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    each = len(cores) // slots
    return [tuple(cores[i * each : (i + 1) * each]) for i in range(slots)]
