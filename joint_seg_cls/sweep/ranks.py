"""Training with several processes: the first process, and how Lightning starts the others."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

import joint_seg_cls


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
