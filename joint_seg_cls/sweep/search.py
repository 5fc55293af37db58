"""A search by Optuna that goes on: past trials that fail, and with a database where it stopped."""

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
from joint_seg_cls.sweep.outcome import failure, last_line

_log = logging.getLogger(__name__)
#: The name of a study in a database where neither ``hydra.sweeper.study_name`` nor ``study`` gives one.
_STUDY = "search"


@final
class SearchSweeper(Sweeper):
    """Search by the plugin hydra-optuna-sweeper; a trial that fails counts as failed and is not drawn again.

    Args:
        sampler: settings of Optuna's sampler.
        direction: ``maximize`` or ``minimize``.
        storage: None for memory, or the URL of a database, in which the search goes on when it is started again.
        study_name: in the database.
        n_trials: how many trials there are to be, those in the database counted.
        n_jobs: trials drawn, and started, together.
        max_failure_rate: share of failed trials among those drawn together above which the search ends.
        search_space: as the plugin takes it.
        custom_search_space: likewise.
        params: likewise.
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
        """Open the database, and put the plugin's search together.

        Raises:
            ConfigError: a path that cannot be, or a database that cannot be opened.
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
        """Draw and carry out the trials; list those that failed.

        Raises:
            InputError: the first trials failed by it and none has succeeded: no trial will.
            SystemExit: no trial has succeeded.
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
            _log.error("none of the trials was finished; see above for what each of them said")
            raise SystemExit(1) from error
        if failed := self._launcher.failed:
            fixed = {_quoted(word).casefold() for word in arguments}  # Hydra writes false as False
            listed = "; ".join(
                f"{' '.join(word for word in words if word.casefold() not in fixed)}: {last_line(error)}"
                for words, error in failed.items()
            )
            _log.warning("%d trials failed and are left out of the search: %s", len(failed), listed)


@final
class _TrialLauncher(Launcher):
    """Launch trials; give the failure of one that is drawn again without trying it again."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._has_succeeded = False
        self.failed: dict[tuple[str, ...], Exception] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set up the launcher behind."""
        self._launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run those that have not failed before.

        Raises:
            InputError: a second trial is refused as the first was, and none has succeeded.
        """
        asked = [tuple(_quoted(word) for word in words) for words in job_overrides]
        new = [words for words in dict.fromkeys(asked) if words not in self.failed]
        returned = dict(zip(new, self._launcher.launch(new, initial_job_idx) if new else [], strict=True))
        for words, each in returned.items():
            if (error := failure(each)) is None:
                self._has_succeeded = True
                continue
            if isinstance(error, InputError) and not self._has_succeeded and self._is_repeated(error):
                raise error
            self.failed[words] = error
        return [returned[words] if words in returned else _failed_again(words, self.failed[words]) for words in asked]

    def _is_repeated(self, error: InputError) -> bool:
        return any(isinstance(other, InputError) and str(other) == str(error) for other in self.failed.values())


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    return f"{key}{equals}{as_value(value)}"


def _failed_again(words: Sequence[str], error: Exception) -> JobReturn:
    returned = JobReturn(overrides=list(words), status=JobStatus.FAILED)
    returned.return_value = error
    return returned


def _advanced(settings: DictConfig, drawn: int) -> Any:
    """Return the sampler; behind ``drawn`` trials it must not draw the first ones again."""
    seed = settings.get("seed")
    return instantiate(settings if seed is None else OmegaConf.merge(settings, {"seed": seed + drawn}))


def _opened(url: str, name: str, direction: Any) -> tuple[Any, int]:
    """Return the database, and how many trials of the study it holds that ended.

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
    except AssertionError as error:  # SQLAlchemy 2 does not keep what this version of Optuna writes
        raise ConfigError(
            "hydra.sweeper.storage",
            expected="SQLAlchemy 1.4, which this version of Optuna keeps its studies by",
            found="a later one",
            remedy='pip install "sqlalchemy<2", or search in memory with hydra.sweeper.storage=null',
        ) from error
    except Exception as error:  # of the database's own packages, which are many
        raise ConfigError(
            "hydra.sweeper.storage",
            expected="a database that can be opened, such as sqlite:///search.db",
            found=f"{url} ({last_line(error)[:200]})",
            remedy="correct hydra.sweeper.storage=",
        ) from error
    return storage, len(ended)
