"""What a run tells the outside: numbers, pictures and tables, to one service, which may fail without harm."""

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
    """A picture, first row at the top, with what is to be said of it."""

    name: str
    pixels: UInt8[np.ndarray, "row column 3"]
    caption: str


@final
@dataclass(frozen=True)
class RunCard:
    """What a service is told of a run before its first number.

    Args:
        group: runs that belong together: the study, or else the collection.
        name: what a person reads.
        job: what kind of run.
        tags: tables, variant, protocol.
        run_id: the same whenever the run is resumed.
        folder: where the service may write.
        runs: where all collections of runs lie.
        config: what decides the run's numbers, fit to be published.
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
    """A tracking service with one run open. Each method may raise whatever the service raises."""

    def numbers(self, values: Mapping[str, float], step: int | None) -> None:
        """Take numbers at an optimiser step."""
        ...

    def facts(self, values: Mapping[str, float]) -> None:
        """Take numbers of the run as a whole."""
        ...

    def pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        """Take pictures at an optimiser step."""
        ...

    def table(self, name: str, rows: pd.DataFrame) -> None:
        """Take a table."""
        ...

    def model(self, path: Path, name: str) -> None:
        """Take a checkpoint."""
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
        """Which weights are sent at the end."""
        ...

    def open(self, card: RunCard) -> Backend | None:
        """Open the service's run, None where it was switched off from outside.

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
    """Hand a run's numbers to a service until it fails; the failure is told once, and the run goes on without it.

    Args:
        backend: the service, its run open.
        card: what it was told of the run.
        callbacks: what else watches the training on its behalf.
    """

    def __init__(self, backend: Backend, card: RunCard) -> None:
        super().__init__()
        self._backend = backend
        self._card = card
        self._guard = Guard("the tracking service")
        self.callbacks: list[Callback] = []

    @property
    def name(self) -> str:
        """The run's name."""
        return self._card.name

    @property
    def version(self) -> str:
        """The run's identity."""
        return self._card.run_id

    @property
    def save_dir(self) -> str:
        """Where the run lies."""
        return str(self._card.folder)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take what Lightning logs."""
        self._guard.call(lambda: self._backend.numbers(metrics, step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the configuration is known since the run was opened."""

    def log_facts(self, values: Mapping[str, float]) -> None:
        """Take numbers of the run as a whole, such as those of its test."""
        self._guard.call(lambda: self._backend.facts(values))

    def log_pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        """Take pictures at an optimiser step."""
        self._guard.call(lambda: self._backend.pictures(name, pictures, step))

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        """Take a table whose cases go by pseudonyms."""
        self._guard.call(lambda: self._backend.table(name, rows))

    def log_model(self, path: Path, name: str) -> None:
        """Take a checkpoint."""
        self._guard.call(lambda: self._backend.model(path, name))

    def finish(self, *, failed: bool = False) -> None:
        """End the service's run, so that the next one in this process does not log into it."""
        self._guard.call(lambda: self._backend.finish(failed=failed))


def start_tracking(tracking: Tracking, card: RunCard) -> Tracker | None:
    """Open a run of the configured service; None where it is switched off, missing or does not start."""
    guard, opened = Guard("the tracking service"), []
    guard.call(lambda: opened.append(tracking.open(card)))
    return Tracker(opened[0], card) if opened and opened[0] is not None else None


@final
class Guard:
    """Let what is not essential fail: the first failure is told as a warning, and nothing is tried after it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.has_failed = False

    def call(self, action: Callable[[], object]) -> None:
        """Do ``action``, unless an earlier one has failed."""
        if not self.has_failed:
            with self:
                action()

    def __enter__(self) -> None:
        """Begin what may fail."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Swallow an error; a person's Ctrl-C and an order to exit pass."""
        if kind is None or not issubclass(kind, Exception):
            return False
        self.has_failed = True
        reason = " ".join(str(error).split())[:300] or kind.__name__
        _log.warning("%s failed (%s); the run goes on without it, metrics.csv holds every number", self._what, reason)
        return True
