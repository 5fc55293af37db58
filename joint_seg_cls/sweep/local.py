"""Hydra launcher for one machine: one job per GPU slot, or several workers on the CPU."""

import logging
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from joint_seg_cls.config.resolvers import visible_gpus
from joint_seg_cls.errors import require_valid
from joint_seg_cls.runs.data_checks import refuse_missing_validation
from joint_seg_cls.sweep.job import JOB, RESULT, Payload
from joint_seg_cls.sweep.slots import Job, Slot, machine_slots, run_in_slots, scratch
from joint_seg_cls.sweep.warm import starter

_log = logging.getLogger(__name__)


@final
class LocalLauncher(Launcher):
    """Run the jobs of a sweep in parallel, each in a new process that sees only the GPUs of its slot.

    Args:
        gpus: GPU ids; None for all visible GPUs, an empty list for the CPU.
        gpus_per_job: GPUs per job, for multi-GPU training.
        slots_per_gpu: jobs that share one GPU.
        workers: parallel jobs if there is no GPU.
        logs: folder of the output of each job.
    """

    _sweep: tuple[DictConfig, HydraContext, TaskFunction]  # set by `setup`

    def __init__(
        self, gpus: Sequence[Any] | None, gpus_per_job: int, slots_per_gpu: int, workers: int, logs: str
    ) -> None:
        self.gpus = gpus
        self.gpus_per_job = gpus_per_job
        self.slots_per_gpu = slots_per_gpu
        self.workers = workers
        self.logs = logs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the settings and keep Hydra's objects.

        Raises:
            ConfigError: a setting of the wrong type.
        """
        for key in ("gpus_per_job", "slots_per_gpu", "workers"):
            value: Any = getattr(self, key)
            is_count = isinstance(value, int) and not isinstance(value, bool)
            require_valid(f"hydra.launcher.{key}", is_count, "a whole number, 1 or more", value)
        is_list = isinstance(self.gpus, Sequence) and not isinstance(self.gpus, str)
        expected = "a list of ids such as [0,1], or null for all"
        require_valid("hydra.launcher.gpus", self.gpus is None or is_list, expected, self.gpus)
        self._sweep = config, hydra_context, task_function

    def slots(self) -> list[Slot]:
        """Return the slots that the jobs share."""
        on_cpu = self._sweep[0].get("trainer", {}).get("accelerator") == "cpu"
        found = [] if on_cpu else visible_gpus() if self.gpus is None else self._chosen()
        counts = {"slots_per_gpu": self.slots_per_gpu, "workers": self.workers}
        return machine_slots(found, gpus_per_job=self.gpus_per_job, **counts)

    def _chosen(self) -> list[str]:
        """Return the requested ids; refuse those that are not visible (unless no GPU is detected)."""
        requested, visible = [str(gpu) for gpu in self.gpus or ()], visible_gpus()
        hidden = [gpu for gpu in requested if visible and gpu.isdecimal() and gpu not in visible]
        expected = f"some of the GPUs {', '.join(visible)}, which this process may use"
        require_valid("hydra.launcher.gpus", not hidden, expected, self.gpus)
        return requested

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Compose and run all jobs and return their results or errors."""
        config, context, _ = self._sweep
        composed = [context.config_loader.load_sweep_config(config, list(words)) for words in job_overrides]
        for each in composed:
            refuse_missing_validation(each, each.hydra.runtime.choices)
        return self.run(composed, initial_job_idx)

    def run(self, configs: Sequence[DictConfig], first: int = 0) -> Sequence[JobReturn]:
        """Run jobs of composed configurations, numbered from ``first``; return their results or errors."""
        own = self._sweep[0].hydra
        configure_log(own.job_logging, own.verbose)
        slots = self.slots()
        started_s: dict[str, float] = {}

        def on_start(job: Job, slot: Slot) -> None:
            started_s[job.name] = time.monotonic()
            _log.info("%s: started on %s", job.name, slot.name)

        def on_end(job: Job, code: int) -> None:
            ended = "done" if code == 0 else f"failed (exit code {code}), see {job.log}"
            _log.info("%s: %s after %.1f min", job.name, ended, (time.monotonic() - started_s[job.name]) / 60)

        with scratch() as root, starter(slots, len(configs)) as start:
            folders = [root / str(number) for number in range(len(configs))]
            numbered = enumerate(zip(configs, folders, strict=True), start=first)
            jobs = [self._write(config, number, folder) for number, (config, folder) in numbered]
            codes = run_in_slots(jobs, slots, on_start=on_start, on_end=on_end, start=start)
            return [_returned(*each) for each in zip(configs, folders, jobs, codes, strict=True)]

    def _write(self, config: DictConfig, number: int, folder: Path) -> Job:
        """Pickle the job, so that later edits of configuration files do not change it."""
        master, context, task = self._sweep
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        folder.mkdir()
        (folder / JOB).write_bytes(pickle.dumps(Payload(context, config, task)))
        command = [sys.executable, "-m", "joint_seg_cls.sweep.job", str(folder)]
        name = config.hydra.job.name
        name = name if name != master.hydra.job.name else f"{name}-{number}"
        return Job(name, command, Path(config.hydra.launcher.logs).expanduser() / f"{name}.txt")


def _returned(config: DictConfig, folder: Path, job: Job, code: int) -> JobReturn:
    returned = JobReturn(overrides=list(config.hydra.overrides.task), cfg=config, task_name=job.name)
    if (folder / RESULT).is_file():
        returned.status, value = pickle.loads((folder / RESULT).read_bytes())  # noqa: S301 - written by our own process
    else:
        returned.status = JobStatus.FAILED
        value = RuntimeError(f"the process ended with exit code {code} (see {job.log})")
    returned.return_value = value
    return returned
