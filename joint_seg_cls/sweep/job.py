"""Run one job of a sweep in a separate process: ``python -m joint_seg_cls.sweep.job FOLDER``.

The launcher writes ``job.pkl`` into the folder; the job writes ``result.pkl``. A job with several processes is started
by torchrun, Slurm or Lightning.
"""

import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

import joint_seg_cls
from joint_seg_cls.config import resolvers
from joint_seg_cls.errors import InputError
from joint_seg_cls.sweep.slots import CORES, GRACE_S, LOCK

JOB = "job.pkl"
RESULT = "result.pkl"


@final
@dataclass(frozen=True)
class Payload:
    """The pickled input of a job."""

    context: HydraContext
    config: DictConfig
    task: TaskFunction


def main(arguments: Sequence[str]) -> int:
    """Run the job; return 0 on success, 2 for invalid input, 1 for any other error, 130 if interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore SIGINT
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    if cores := os.environ.get(CORES):  # before any library counts the cores
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    folder = Path(arguments[0])
    owner = FileLock(folder / LOCK)  # held until this process ends
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
    code = _report(returned)
    (folder / RESULT).write_bytes(pickle.dumps((returned.status, returned._return_value)))  # noqa: SLF001
    return code


def _report(returned: JobReturn) -> int:
    """Log the error of a failed job, make it picklable, and return the exit code."""
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
    """Wait until the parent process ends, then interrupt this process; kill it if it does not stop."""
    with suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 1):  # unbuffered: the buffer's lock would be held at exit
            pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(1)


def is_first_process() -> bool:
    """Return whether this is the only process or rank 0 of torchrun, Slurm or Lightning."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"]) == 0
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


@contextmanager
def children_repeat_this_job() -> Iterator[None]:
    """Make the processes that Lightning starts run this job, not the whole sweep.

    Environment variables that Lightning sets are removed afterwards, so that the next job starts its own processes.
    """
    from torch import distributed

    main = sys.modules["__main__"]
    before, arguments, spec = dict(os.environ), sys.argv, getattr(main, "__spec__", None)
    sys.argv = [str(Path(joint_seg_cls.__file__).with_name("__main__.py")), *command_words()]
    main.__spec__ = None  # otherwise a module run with `-m` is started instead of the file above
    try:
        yield
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
    finally:
        sys.argv, main.__spec__ = arguments, spec
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def command_words() -> list[str]:
    """Return the words after ``jsc`` that run this job alone."""
    hydra = HydraConfig.get()
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    flags = [word for folder in folders for word in ("--config-dir", folder)]
    return ["train", *flags, *hydra.overrides.task, "hydra.mode=RUN"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
