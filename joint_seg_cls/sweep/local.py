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
        """Run all jobs and return their results or errors."""
        config = self._sweep[0]
        configure_log(config.hydra.job_logging, config.hydra.verbose)
        slots = self.slots()
        started_s: dict[str, float] = {}

        def on_start(job: Job, slot: Slot) -> None:
            started_s[job.name] = time.monotonic()
            _log.info("%s: started on %s", job.name, slot.name)

        def on_end(job: Job, code: int) -> None:
            ended = "done" if code == 0 else f"failed (exit code {code}), see {job.log}"
            _log.info("%s: %s after %.1f min", job.name, ended, (time.monotonic() - started_s[job.name]) / 60)

        with scratch() as root, starter(slots, len(job_overrides)) as start:
            folders = [root / str(number) for number in range(len(job_overrides))]
            numbered = enumerate(zip(job_overrides, folders, strict=True), start=initial_job_idx)
            written = [self._write(list(words), number, folder) for number, (words, folder) in numbered]
            jobs = [job for job, _ in written]
            codes = run_in_slots(jobs, slots, on_start=on_start, on_end=on_end, start=start)
            results = zip(written, job_overrides, folders, codes, strict=True)
            return [
                _returned(job_config, words, folder, job, code) for (job, job_config), words, folder, code in results
            ]

    def _write(self, overrides: list[str], number: int, folder: Path) -> tuple[Job, DictConfig]:
        """Compose the job now, so that later edits of its files do not change it, and pickle it."""
        config, context, task = self._sweep
        composed = context.config_loader.load_sweep_config(config, overrides)
        refuse_missing_validation(composed, composed.hydra.runtime.choices)
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
        folder.mkdir()
        payload = Payload(context, composed, task)
        (folder / JOB).write_bytes(pickle.dumps(payload))
        command = [sys.executable, "-m", "joint_seg_cls.sweep.job", str(folder)]
        name = composed.hydra.job.name
        name = name if name != config.hydra.job.name else f"{name}-{number}"
        return Job(name, command, Path(composed.hydra.launcher.logs).expanduser() / f"{name}.txt"), composed


def _returned(config: DictConfig, overrides: Sequence[str], folder: Path, job: Job, code: int) -> JobReturn:
    returned = JobReturn(overrides=list(overrides), cfg=config, task_name=job.name)
    if (folder / RESULT).is_file():
        returned.status, value = pickle.loads((folder / RESULT).read_bytes())  # noqa: S301 - written by our own process
    else:
        returned.status = JobStatus.FAILED
        value = RuntimeError(f"the process ended with exit code {code} (see {job.log})")
    returned.return_value = value
    return returned
