"""One job of a sweep in a process of its own: ``python -m joint_seg_cls.sweep.job FOLDER``.

The folder holds ``job.pkl``, which the launcher wrote, and gets ``result.pkl``, which it reads.
"""

import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from filelock import FileLock
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from joint_seg_cls.config import resolvers
from joint_seg_cls.errors import InputError
from joint_seg_cls.sweep.scratch import LOCK
from joint_seg_cls.sweep.slots import CORES, GRACE_S

JOB = "job.pkl"
RESULT = "result.pkl"


@final
@dataclass(frozen=True)
class Payload:
    """What a job's process is told."""

    context: HydraContext
    config: DictConfig
    task: TaskFunction


def main(arguments: Sequence[str]) -> int:
    """Carry out the job; return 0 done, 2 the user's input, 1 anything else, 130 interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    if cores := os.environ.get(CORES):  # before anything counts them
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    folder = Path(arguments[0])
    owner = FileLock(folder / LOCK)  # until this process ends, however it ends
    owner.acquire(timeout=0)
    setup_globals()
    resolvers.register()
    with (folder / JOB).open("rb") as file:
        payload: Payload = pickle.load(file)  # noqa: S301 - written by the process that started this one
    try:
        returned = run_job(
            hydra_context=payload.context,
            task_function=payload.task,
            config=payload.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except KeyboardInterrupt:
        return 130
    code = _tell(returned)
    (folder / RESULT).write_bytes(pickle.dumps((returned.status, returned._return_value)))  # noqa: SLF001
    return code


def _tell(returned: JobReturn) -> int:
    """Say what went wrong, and leave of it what another process can read."""
    if returned.status is not JobStatus.FAILED:
        return 0
    error: Any = returned._return_value  # noqa: SLF001 - the property raises it
    if isinstance(error, InputError):
        logging.getLogger(__name__).error("error: %s", error)
        return error.exit_code
    traceback.print_exception(error)
    returned.return_value = RuntimeError(f"{type(error).__name__}: {error}")
    return 1


def _stop_with_parent() -> None:
    """Wait until the process that started this one is gone, then interrupt this one, and end it if it does not."""
    with suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 1):  # not by the buffer, whose lock would be held when the job ends
            pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
