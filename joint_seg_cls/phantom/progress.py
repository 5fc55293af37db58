"""How far a cohort is: a bar with the time left on a terminal, a line a minute in a log."""

import logging
import sys
import time
from types import TracebackType
from typing import final

_log = logging.getLogger(__name__)
_EVERY_S = 60.0


@final
class Progress:
    """Call it with (done, all) after each subject, inside its ``with`` block."""

    def __init__(self) -> None:
        self._bar = None
        self._told_s = 0.0

    def __enter__(self) -> "Progress":
        self._told_s = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("subjects"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._bar.start()
            self._bar.add_task("subjects", total=None)
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` subjects are there."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)
        elif time.monotonic() - self._told_s >= _EVERY_S:
            self._told_s = time.monotonic()
            _log.info("%d of %d subjects", done, total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
