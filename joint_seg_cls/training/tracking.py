"""Tracking of a run: Lightning's loggers in one wrapper, whose failures do not stop the run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, final, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from lightning import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from joint_seg_cls.errors import reason_of

_log = logging.getLogger(__name__)

Job = Literal["train", "eval"]
Upload = Literal["best", "last"] | None


class PanelPicture(NamedTuple):
    """A picture, first row at the top, with its caption."""

    name: str
    pixels: UInt8[np.ndarray, "row column 3"]
    caption: str


@final
@dataclass(frozen=True)
class RunCard:
    """The description of a run at a tracking service.

    Args:
        group: group of runs: the study, or else the collection.
        tags: tables, variant, protocol.
        run_id: id, unchanged when the run is resumed.
        folder: where the service may write.
        runs: the folder of all collections.
        config: the identity of the run, without paths and names of people.
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
    """An open run of a tracking service: Lightning's logger, and methods for which Lightning has no common interface.

    Each method may raise any exception of the service.
    """

    @property
    def logger(self) -> Logger:
        """Lightning's logger of the service, for all numbers."""
        ...

    def log_pictures(self, name: str, pictures: Sequence[PanelPicture], step: int) -> None:
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
        """The drawn cases and the interval."""
        ...

    @property
    def upload(self) -> Upload:
        """The weights uploaded at the end, if any."""
        ...

    def open(self, card: RunCard) -> Backend | None:
        """Open or continue the service's run; None if the environment disables the service.

        Raises:
            Exception: any exception of the service.
        """
        ...


@final
@dataclass(frozen=True)
class PanelPlan:
    """The drawn cases and the interval.

    Args:
        cases: number of cases; 0 for none.
        every_epochs: interval, besides the last epoch; 0 for the last epoch only.
    """

    cases: int
    every_epochs: int


@final
class Tracker(Logger):
    """Wrap a service's logger: the first failure is logged as a warning, and the run continues without the service.

    Attributes:
        callbacks: callbacks that the service adds to the training, such as the panel of pictures.
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
        """Log numbers at an optimiser step, by default at the last step."""
        self._step = self._step if step is None else step
        self._guard.call(lambda: self._backend.logger.log_metrics(dict(metrics), self._step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing, since the configuration was logged when the run was opened."""

    def log_pictures(self, name: str, pictures: Sequence[PanelPicture], step: int) -> None:
        """Log pictures at an optimiser step."""
        self._guard.call(lambda: self._backend.log_pictures(name, pictures, step))

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        """Log a table whose cases have pseudonyms."""
        self._guard.call(lambda: self._backend.log_table(name, rows))

    def log_model(self, path: Path, name: str) -> None:
        """Log a checkpoint."""
        self._guard.call(lambda: self._backend.log_model(path, name))

    def finish(self, *, failed: bool = False) -> None:
        """End the service's run, so that the next run of this process does not log into it."""
        self._guard.call(lambda: self._backend.finish(failed=failed))


def start_tracking(tracking: Tracking, card: RunCard) -> Tracker | None:
    """Open a run of the configured service; None if it is disabled, not installed or does not start."""
    guard, opened = Guard("the tracking service"), []
    guard.call(lambda: opened.append(tracking.open(card)))
    return Tracker(opened[0], card) if opened and opened[0] is not None else None


@final
class Guard:
    """Run optional work: the first failure is logged as a warning, and later work is skipped."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._has_failed = False

    def call(self, action: Callable[[], object]) -> None:
        """Run ``action`` unless an earlier one failed."""
        if self._has_failed:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a service may raise any exception
            self._has_failed = True
            text = "%s failed (%s); the run continues without it, metrics.csv has all numbers"
            _log.warning(text, self._what, reason_of(error, 300))
