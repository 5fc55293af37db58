"""Tracking of a run: Lightning's loggers behind one wrapper, whose failure does not stop the run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, final, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from lightning import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

_log = logging.getLogger(__name__)

Job = Literal["train", "eval"]
Upload = Literal["best", "last"] | None


class Picture(NamedTuple):
    """A picture, first row at the top, with its caption."""

    name: str
    pixels: UInt8[np.ndarray, "row column 3"]
    caption: str


@final
@dataclass(frozen=True)
class RunCard:
    """What a run is opened with at a service.

    Args:
        group: runs that belong together: the study, or else the collection.
        name: the run's readable name.
        job: what kind of run.
        tags: tables, variant, protocol.
        run_id: the same whenever the run is resumed.
        folder: where the service may write.
        runs: the folder of all collections of runs.
        config: what decides the run's numbers, without paths and names of people.
    """

    group: str
    name: str
    job: Job
    tags: Sequence[str]
    run_id: str
    folder: Path
    runs: Path
    config: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Backend(Protocol):
    """An open run of a tracking service: Lightning's logger, and what Lightning's loggers have no common method for.

    Each method may raise whatever the service raises.
    """

    @property
    def logger(self) -> Logger:
        """Lightning's logger of the service; takes all numbers."""
        ...

    def log_pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        """Log pictures at an optimiser step."""
        ...

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        """Log a table."""
        ...

    def log_model(self, path: Path, name: str) -> None:
        """Log a checkpoint."""
        ...

    def finish(self, *, failed: bool) -> None:
        """End the run."""
        ...


@runtime_checkable
class Tracking(Protocol):
    """A tracking service as configured; nothing is imported or opened before :meth:`open`."""

    @property
    def panel(self) -> "PanelPlan":
        """Which cases are drawn, and when."""
        ...

    @property
    def upload(self) -> Upload:
        """Which weights are uploaded at the end."""
        ...

    def open(self, card: RunCard) -> Backend | None:
        """Open the service's run, or continue it; None where the environment switches the service off.

        Raises:
            Exception: whatever the service raises.
        """
        ...


@final
@dataclass(frozen=True)
class PanelPlan:
    """Which cases are drawn, and when.

    Args:
        cases: how many; 0 for none.
        every_epochs: at every so many epochs, and after the last; 0 for after the last alone.
    """

    cases: int
    every_epochs: int


@final
class Tracker(Logger):
    """Wrap a service's logger: the first failure is reported in one warning, and the run goes on without the service.

    Args:
        backend: the open run of the service.
        card: the run's name, id and published configuration.

    Attributes:
        callbacks: what the service adds to the training, such as the panel of pictures.
    """

    def __init__(self, backend: Backend, card: RunCard) -> None:
        super().__init__()
        self._backend = backend
        self._card = card
        self._guard = Guard("the tracking service")
        self._step: int | None = None
        self.callbacks: list[Callback] = []

    @property
    def name(self) -> str:
        """The run's name."""
        return self._card.name

    @property
    def version(self) -> str:
        """The run's id."""
        return self._card.run_id

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self._card.folder)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers at an optimiser step; without one, such as those of the test, at the last step."""
        self._step = self._step if step is None else step
        self._guard.call(lambda: self._backend.logger.log_metrics(dict(metrics), self._step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the configuration was logged when the run was opened."""

    def log_pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        """Log pictures at an optimiser step."""
        self._guard.call(lambda: self._backend.log_pictures(name, pictures, step))

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        """Log a table whose cases have pseudonyms."""
        self._guard.call(lambda: self._backend.log_table(name, rows))

    def log_model(self, path: Path, name: str) -> None:
        """Log a checkpoint."""
        self._guard.call(lambda: self._backend.log_model(path, name))

    def finish(self, *, failed: bool = False) -> None:
        """End the service's run, so that the next one in this process does not log into it."""
        self._guard.call(lambda: self._backend.finish(failed=failed))


def start_tracking(tracking: Tracking, card: RunCard) -> Tracker | None:
    """Open a run of the configured service; None where it is switched off, not installed or does not start."""
    guard, opened = Guard("the tracking service"), []
    guard.call(lambda: opened.append(tracking.open(card)))
    return Tracker(opened[0], card) if opened and opened[0] is not None else None


@final
class Guard:
    """Let what is not essential fail: the first failure is logged as a warning, and nothing is tried after it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.has_failed = False

    def call(self, action: Callable[[], object]) -> None:
        """Do ``action``, unless an earlier one has failed."""
        if not self.has_failed:
            with self:
                action()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Swallow an error; Ctrl-C and exits pass."""
        if kind is None or not issubclass(kind, Exception):
            return False
        self.has_failed = True
        reason = " ".join(str(error).split())[:300] or kind.__name__
        _log.warning("%s failed (%s); the run goes on without it, metrics.csv holds every number", self._what, reason)
        return True
