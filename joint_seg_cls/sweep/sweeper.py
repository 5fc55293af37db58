"""Hydra sweeper for studies: all runs are planned, checked and listed before the first one starts."""

import itertools
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, configure_log
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from joint_seg_cls.config.build import require
from joint_seg_cls.config.compose import Composer, composer_of, options_chosen
from joint_seg_cls.config.grammar import as_text, as_value
from joint_seg_cls.config.keys import refuse_wrong_paths
from joint_seg_cls.config.options import misfit
from joint_seg_cls.data import HELD_OUT
from joint_seg_cls.errors import ConfigError, InputError
from joint_seg_cls.runs.plan import Plan, Planner
from joint_seg_cls.sweep.local import LocalLauncher
from joint_seg_cls.sweep.planned import PlannedRun, last_line, refuse_failures, study_run
from joint_seg_cls.sweep.progress import shown
from joint_seg_cls.sweep.study import Study, sweep_name

_log = logging.getLogger(__name__)


@final
class StudySweeper(Sweeper):
    """Sweep over all combinations of the given values; equal runs are launched once.

    Args:
        params: swept values unless overridden on the command line, as ``key: value,value`` or a list.
    """

    _context: HydraContext  # these three are set by `setup`
    _config: DictConfig
    _launcher: Launcher

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep Hydra's objects and create the configured launcher."""
        refuse_wrong_paths(config, "train")
        _refuse_swept_store()
        require(config, "train", "data.store")  # the launcher's log folder depends on it
        self._context, self._config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Plan all runs, write the study, and launch the unfinished runs.

        Raises:
            InputError: a run is invalid; none is launched.
            SystemExit: a run failed; all failures are listed.
        """
        configure_log(self._config.hydra.job_logging, self._config.hydra.verbose)
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        typed = parser.parse_overrides(self._words(parser, arguments))
        jobs = combinations(typed)
        _log.info("checking %d combinations before the first run starts", len(jobs))
        runs = self._planned(jobs)
        if len(runs) < len(jobs):
            _log.info("%d combinations repeat another run", len(jobs) - len(runs))
        studies = _studies(
            [run.plan for run in runs], swept=[each.key_or_group for each in typed if each.is_sweep_override()]
        )
        todo = [run for run in runs if not run.plan.is_done()]
        for study in studies:
            _log.info("study %s: %s", study.name, study.path)
        _log.info("%d runs, %d already done", len(runs), len(runs) - len(todo))
        if not todo:
            return []
        with shown(studies, is_live=isinstance(self._launcher, LocalLauncher)):
            returned, reason = _launched(self._launcher, todo)
        refuse_failures([run.plan for run in todo], returned, reason)
        return returned

    def _words(self, parser: OverridesParser, arguments: list[str]) -> list[str]:
        """Return the swept values as overrides; a range of folds is replaced by the folds of the data."""
        swept = {key: _listed(value) for key, value in self.params.items()}
        if swept.get("fold", "").startswith("range(") and not any(word.startswith("fold=") for word in arguments):
            others = [f"{key}={value}" for key, value in swept.items() if key != "fold"]
            first, *_ = combinations(parser.parse_overrides(others + arguments))
            (run,) = self._planned([first])
            swept["fold"] = ",".join(str(fold) for fold in run.plan.data.frozen.splits if fold != HELD_OUT)
        return [f"{key}={value}" for key, value in swept.items()] + arguments

    def _planned(self, jobs: Sequence[list[str]]) -> list[PlannedRun]:
        """Return the distinct runs of the jobs."""
        composer = composer_of(self._config.hydra)
        planner = Planner(lambda: composer)
        found: dict[Path, PlannedRun] = {}
        for words in jobs:
            config = self._composed(words)
            choices = {str(group): option for group, option in config.hydra.runtime.choices.items()}
            self._refuse_sweep_in_sweep(config, choices, composer)
            task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            plan = planner.plan(task, choices, list(config.hydra.overrides.task))
            found.setdefault(plan.location.path, PlannedRun(words, config, plan))
        return list(found.values())

    def _composed(self, words: Sequence[str]) -> DictConfig:
        try:
            return self._context.config_loader.load_sweep_config(self._config, list(words))
        except HydraException as error:
            if (known := misfit(words, composer_of(self._config.hydra).options)) is None:
                raise
            raise known from error

    def _refuse_sweep_in_sweep(self, config: DictConfig, choices: Mapping[str, str | None], composer: Composer) -> None:
        """Refuse several experiments that each define a sweep, or a value of `experiment` that changes the sweep."""
        chosen = options_chosen(config.hydra.overrides.task, ["experiment"]).get("experiment", [])
        studies = [name for name in chosen if name != "null" and _sweeps(composer, name)]
        if len(studies) < 2 and dict(config.hydra.sweeper.get("params") or {}) == self.params:
            return
        raise ConfigError(
            f"experiment={choices.get('experiment')}",
            expected="one study per command, since a study defines its sweep",
            found="several studies, or several values of a key that its sweep depends on",
            remedy="start them one after another; a run that two of them share is trained once",
        )


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the jobs of a sweep as lists of overrides; the first key changes slowest, the last value of a key counts.

    Raises:
        ConfigError: an interval, from which only a search can draw.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [str(override.input_line)]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={_typed(value)}" for value in override.sweep_iterator()]
        else:
            raise ConfigError(
                override.input_line or key,
                expected="a list of values",
                found="an interval",
                remedy="add hydra/sweeper=optuna to search in it, or list values",
            )
    return [list(words) for words in itertools.product(*values.values())]


def _sweeps(composer: Composer, experiment: str) -> bool:
    """Return whether an experiment defines a sweep."""
    sweeper = (composer.options.content("experiment", experiment).get("hydra") or {}).get("sweeper") or {}
    return bool(sweeper.get("params"))


def _typed(value: Any) -> str:
    """Return a swept value as an override's text; ``choice`` drops the quotes of its arguments."""
    return as_text(value) if isinstance(value, str) else str(Transformer.str(value))


def _refuse_swept_store() -> None:
    """Refuse several stores in one command: runs, study and logs belong to the collection of one store."""
    for word in sys.argv:
        key, _, stores = word.partition("=")
        if key == "data.store" and OverridesParser.create().parse_override(word).is_sweep_override():
            raise ConfigError(
                "data.store", expected="one store per command", found=stores, remedy="start one sweep per store"
            )


def _listed(values: Any) -> str:
    """Return the swept values of an experiment in command line syntax."""
    listed = ",".join(map(str, values)) if OmegaConf.is_list(values) or isinstance(values, list) else str(values)
    return as_value(listed)


def _studies(plans: Sequence[Plan], swept: Sequence[str]) -> list[Study]:
    """Write the study into each collection that contains its runs."""
    by_collection: dict[tuple[Path, str], list[Plan]] = {}
    for plan in plans:
        named = plan.config.study
        name = sweep_name([each.location.folder for each in plans], swept) if named is None else str(named)
        by_collection.setdefault((plan.location.collection_path, name), []).append(plan)
    return [
        Study(
            collection=collection,
            name=name,
            created_by=shlex.join([*sys.argv[0].split(), *sys.argv[1:]]),
            runs=tuple(map(study_run, members)),
            tables=tuple(dict.fromkeys(str(table) for plan in members for table in plan.config.tables)),
        ).record()
        for (collection, name), members in by_collection.items()
    ]


def _launched(launcher: Launcher, runs: Sequence[PlannedRun]) -> tuple[Sequence[JobReturn], str]:
    """Return the results of the jobs, and the error if the launcher stopped early."""
    try:
        if isinstance(launcher, LocalLauncher):
            return launcher.run([run.configured() for run in runs]), ""
        return launcher.launch([run.as_overrides() for run in runs], initial_job_idx=0), ""
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - some launchers raise the first job's error
        _log.exception("the launcher stopped")
        return [], last_line(error)
