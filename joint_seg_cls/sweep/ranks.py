"""Several processes that train one run together: which of them writes, and how Lightning starts the others."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

import joint_seg_cls


def is_first_process() -> bool:
    """Return whether this process is alone, or the first of those that torchrun, Slurm or Lightning started."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"]) == 0
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


@contextmanager
def children_repeat_this_job() -> Iterator[None]:
    """Let Lightning, which starts its processes by this one's command line, repeat this one job and not a whole sweep.

    What Lightning leaves behind is taken away at the end: the next job of this process starts its own.
    """
    from torch import distributed

    main = sys.modules["__main__"]
    before, arguments, spec = dict(os.environ), sys.argv, getattr(main, "__spec__", None)
    sys.argv = [str(Path(joint_seg_cls.__file__).with_name("__main__.py")), *command_words()]
    main.__spec__ = None  # a module that was started by `-m` would be started in place of the file above
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
    """Return the words after ``jsc`` that repeat this one job."""
    hydra = HydraConfig.get()
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    flags = [word for folder in folders for word in ("--config-dir", folder)]
    return ["train", *flags, *hydra.overrides.task, "hydra.mode=RUN"]
