"""Optuna search that continues after failed trials and, with a database, after interruptions."""

import logging
from collections.abc import Sequence
from typing import Any, final

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from joint_seg_cls.config.build import require
from joint_seg_cls.config.grammar import as_value
from joint_seg_cls.config.keys import refuse_wrong_paths
from joint_seg_cls.errors import ConfigError, InputError
from joint_seg_cls.sweep.planned import failure, last_line

_log = logging.getLogger(__name__)
#: Study name in the database if neither ``hydra.sweeper.study_name`` nor ``study`` is set.
_STUDY = "search"


@final
class SearchSweeper(Sweeper):
    """Search with the plugin hydra-optuna-sweeper; a failed trial is recorded as failed and not repeated.

    Args:
        sampler: settings of the Optuna sampler.
        direction: ``maximize`` or ``minimize``.
        storage: None for memory, or a database URL; a restarted search continues there.
        study_name: study name in the database.
        n_trials: total number of trials, including those in the database.
        n_jobs: trials per batch; a batch is drawn and started together.
        max_failure_rate: share of failed trials in a batch above which the search stops.
        search_space: as in the plugin.
        custom_search_space: as in the plugin.
        params: as in the plugin.
    """

    def __init__(
        self,
        sampler: DictConfig,
        direction: Any,
        storage: str | None,
        study_name: str | None,
        n_trials: int,
        n_jobs: int,
        max_failure_rate: float,
        search_space: Any,
        custom_search_space: str | None,
        params: Any,
    ) -> None:
        self.sampler = sampler
        self.direction = direction
        self.storage = storage
        self.study_name = study_name
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.max_failure_rate = max_failure_rate
        self.search_space = search_space
        self.custom_search_space = custom_search_space
        self.params = params
        self._search: Any = None
        self._launcher: _TrialLauncher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Open the database and set up the plugin's search.

        Raises:
            ConfigError: an invalid path, or a database that cannot be opened.
        """
        from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

        refuse_wrong_paths(config, "train")
        require(config, "train", "data.store")
        name = self.study_name or (None if self.storage is None else str(config.get("study") or _STUDY))
        storage, drawn = (None, 0) if self.storage is None else _opened(self.storage, str(name), self.direction)
        self._search = OptunaSweeperImpl(
            _advanced(self.sampler, drawn),
            self.direction,
            storage,
            name,
            max(0, self.n_trials - drawn),
            self.n_jobs,
            self.max_failure_rate,
            self.search_space,
            self.custom_search_space,
            self.params,
        )
        self._search.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._launcher = self._search.launcher = _TrialLauncher(self._search.launcher)

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials and list the failed ones.

        Raises:
            InputError: the first trials failed with the same input error and none succeeded.
            SystemExit: no trial succeeded.
        """
        assert self._launcher is not None
        try:
            self._search.sweep(arguments)
        except ValueError as error:
            if "No trials are completed" not in str(error):
                raise
            reasons = list(self._launcher.failed.values())
            if reasons and all(isinstance(reason, InputError) for reason in reasons):
                raise reasons[0] from None
            _log.error("no trial succeeded; see the errors above")
            raise SystemExit(1) from error
        if failed := self._launcher.failed:
            fixed = {_quoted(word).casefold() for word in arguments}  # Hydra writes `false` as `False`
            listed = "; ".join(
                f"{' '.join(word for word in words if word.casefold() not in fixed)}: {last_line(error)}"
                for words, error in failed.items()
            )
            _log.warning("%d trials failed and are excluded from the search: %s", len(failed), listed)


@final
class _TrialLauncher(Launcher):
    """Launch trials; return the earlier failure of a repeated trial without launching it again."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._has_succeeded = False
        self.failed: dict[tuple[str, ...], Exception] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set up the wrapped launcher."""
        self._launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the trials that have not failed before.

        Raises:
            InputError: two trials failed with the same input error and none succeeded.
        """
        trials = [tuple(_quoted(word) for word in words) for words in job_overrides]
        new = [words for words in dict.fromkeys(trials) if words not in self.failed]
        returned = dict(zip(new, self._launcher.launch(new, initial_job_idx) if new else [], strict=True))
        for words, each in returned.items():
            if (error := failure(each)) is None:
                self._has_succeeded = True
                continue
            earlier = {str(other) for other in self.failed.values() if isinstance(other, InputError)}
            if isinstance(error, InputError) and not self._has_succeeded and str(error) in earlier:
                raise error
            self.failed[words] = error
        return [returned[words] if words in returned else _failed_again(words, self.failed[words]) for words in trials]


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    return f"{key}{equals}{as_value(value)}"


def _failed_again(words: Sequence[str], error: Exception) -> JobReturn:
    returned = JobReturn(overrides=list(words), status=JobStatus.FAILED)
    returned.return_value = error
    return returned


def _advanced(settings: DictConfig, drawn: int) -> Any:
    """Return the sampler, its seed advanced by ``drawn`` so that it does not repeat earlier trials."""
    seed = settings.get("seed")
    return instantiate(settings if seed is None else OmegaConf.merge(settings, {"seed": seed + drawn}))


def _opened(url: str, name: str, direction: Any) -> tuple[Any, int]:
    """Return the database and the number of finished trials of the study.

    Raises:
        ConfigError: it cannot be opened.
    """
    import optuna

    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    try:
        storage = optuna.storages.RDBStorage(url)
        study = optuna.create_study(study_name=name, storage=storage, direction=str(direction), load_if_exists=True)
        ended = [trial for trial in study.trials if trial.state.is_finished()]
    except AssertionError as error:  # Optuna 2 writes values that SQLAlchemy 2 does not store
        raise ConfigError(
            "hydra.sweeper.storage",
            expected="SQLAlchemy 1.4, which this version of Optuna requires",
            found="a later version",
            remedy='pip install "sqlalchemy<2", or search in memory with hydra.sweeper.storage=null',
        ) from error
    except Exception as error:  # each database driver has its own exceptions
        raise ConfigError(
            "hydra.sweeper.storage",
            expected="a database that can be opened, such as sqlite:///search.db",
            found=f"{url} ({last_line(error)[:200]})",
            remedy="correct hydra.sweeper.storage=",
        ) from error
    return storage, len(ended)
