"""Planned runs: their jobs, the results of these, and their entries in a study.

This is not in :mod:`.study`, so that ``jsc status`` does not import torch.
"""

import shlex
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, final

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from joint_seg_cls.config.grammar import quoted
from joint_seg_cls.config.schema import PATHS
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.run_state import LOG, run_state
from joint_seg_cls.runs.plan import PLAN, Plan
from joint_seg_cls.sweep.study import Study, StudyRun

#: Folder of the local launcher's job output, relative to the collection.
LOGS = "studies/logs"


@final
class PlannedRun(NamedTuple):
    """A run of a sweep: its overrides, the configuration that they compose to, and its plan."""

    words: list[str]
    config: DictConfig
    plan: Plan

    def configured(self) -> DictConfig:
        """Return the configuration with the job's settings and absolute paths, since jobs start in another folder."""
        with open_dict(self.config):
            for key, path in self._paths().items():
                OmegaConf.update(self.config, key, path)
            for key, value in self._settings().items():
                OmegaConf.update(self.config.hydra.job, key, value)
        return self.config

    def as_overrides(self) -> list[str]:
        """Return overrides that compose to :meth:`configured`, for launchers that start jobs with overrides."""
        words = [f"{key}={quoted(path)}" for key, path in self._paths().items()]
        return [*self.words, *words, *(f"++hydra.job.{key}={quoted(value)}" for key, value in self._settings().items())]

    def _paths(self) -> dict[str, str]:
        """Return the paths of the configuration, absolute."""
        paths = {key: OmegaConf.select(self.plan.config, key) for key in PATHS}
        paths["runs"] = self.plan.location.collection_path.parent.resolve()
        return {key: str(path) for key, path in paths.items() if path is not None}

    def _settings(self) -> dict[str, str]:
        """Return the job's name and plan by their keys in ``hydra.job``."""
        return {"name": job_name(self.plan), f"env_set.{PLAN}": self.plan.handed_over()}


def study_run(plan: Plan) -> StudyRun:
    """Return the entry of a planned run."""
    where = plan.location
    settings = list(where.settings)
    return StudyRun(where.folder, where.variant, where.base, settings, where.fold, where.seed, plan.overrides)


def list_in_study(plan: Plan, hydra: Any) -> None:
    """Add a run to its study if no study sweep has listed it: a single run, or a trial of a search."""
    is_alone = hydra.mode is RunMode.RUN and plan.config.study is not None
    if is_alone or (hydra.mode is RunMode.MULTIRUN and hydra.runtime.choices["hydra/sweeper"] != "study"):
        name = "search" if plan.config.study is None else str(plan.config.study)
        words = shlex.join(["jsc", "train", *plan.overrides])
        tables = tuple(map(str, plan.config.tables))
        Study(plan.location.collection_path, name, words, (study_run(plan),), tables).record(keep="all")


def refuse_one_of_a_sweep(hydra: Any) -> None:
    """Refuse a single run of an experiment that defines a sweep, unless the command sets all swept keys."""
    swept = OmegaConf.select(hydra, "sweeper.params") or {}
    typed = {word.lstrip("+").partition("=")[0] for word in hydra.overrides.task}
    open_keys = [str(key) for key in swept if str(key) not in typed]
    if hydra.mode is RunMode.RUN and open_keys:
        raise ConfigError(
            f"experiment={hydra.runtime.choices['experiment']}",
            expected="a sweep, since this experiment defines one",
            found="a single run",
            remedy=f"add -m, or a value for {' and '.join(open_keys)}",
        )


def job_name(plan: Plan) -> str:
    """Return the job name of a run, used on a cluster and for its output file."""
    return plan.location.folder.replace("/", "_")


def refuse_failures(plans: Sequence[Plan], returned: Sequence[JobReturn], reason: str) -> None:
    """List the unfinished runs with their errors and logs.

    Args:
        reason: why the launcher stopped early; empty if it did not stop early.

    Raises:
        SystemExit: a run is unfinished.
    """
    errors = dict(enumerate(map(failure, returned)))
    states = [(number, plan, run_state(plan.location.path)) for number, plan in enumerate(plans)]
    missing = [(number, plan, state) for number, plan, state in states if state.state != "done"]
    if not missing:
        return
    lines = [f"{len(missing)} of {len(plans)} runs are unfinished; repeat the command to continue them:"]
    for number, plan, state in missing:
        error = errors.get(number)
        why = (last_line(error) if error else "") or state.reason or reason or "stopped"
        logs = [plan.location.collection_path / LOGS / f"{job_name(plan)}.txt", plan.location.path / LOG]
        log = next((f"; see {path}" for path in logs if path.is_file()), "")
        lines.append(f"  {plan.location.folder}: {state.state}: {why}{log}")
    print("\n".join(lines), file=sys.stderr)
    sys.exit(1)


def last_line(error: Exception) -> str:
    """Return the last line of an error's message, or its class if the message is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def failure(returned: JobReturn) -> Exception | None:
    """Return the exception of a failed job; None if it succeeded."""
    if returned.status is not JobStatus.FAILED:
        return None
    try:
        _ = returned.return_value
    except Exception as error:  # noqa: BLE001 - the job may raise anything
        return error
    return None
