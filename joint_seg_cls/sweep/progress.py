"""The table of a study, variant by fold, from its run folders alone; live on a terminal."""

import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from joint_seg_cls.run_state import RunState, State, differing_code, run_state
from joint_seg_cls.sweep.study import Study, StudyRun

_ORDER: tuple[State, ...] = ("done", "running", "failed", "interrupted", "waiting")
_COLOURS: dict[State, str] = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "interrupted": "yellow",
    "waiting": "dim",
}
_REFRESH_S = 2.0
#: How long a watched study may rest between two of its jobs.
_PATIENCE_S = 300.0
_RUN = re.compile(r"fold-(?P<fold>.+)_seed-(?P<seed>\d+)")


def view(study: Study) -> RenderableType:
    """Return the study's state: a line of counts, the table, and what failed runs said."""
    states = [(run, run_state(study.collection / run.folder)) for run in study.runs]
    failed = [
        Text(f"{run.folder}: {state.reason}; see {study.collection / run.folder}")
        for run, state in states
        if state.state == "failed"
    ]
    mixed = [Text(f"warning: {line}") for line in differing_code(study.folders())]
    return Group(Text(headline(study, [state for _, state in states])), _table(states), *failed, *mixed)


def headline(study: Study, states: Sequence[RunState]) -> str:
    """Return how many runs stand where, and the time that the sweep may still take."""
    counts = {name: sum(state.state == name for state in states) for name in _ORDER}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    left_s = time_left_s(states)
    return f"study {study.name}: {len(states)} runs, {said}" + (
        "" if left_s is None else f", about {_span(left_s)} left"
    )


def time_left_s(states: Sequence[RunState]) -> float | None:
    """Return the seconds until all runs are trained, if as many run side by side as now; None where nothing tells it.

    A run that has not begun, or was interrupted, is taken to last as long as the others do on average.
    """
    running = [state for state in states if state.state == "running" and state.left_s is not None]
    lasting = [state.trained_s for state in states if state.state == "done" and state.trained_s > 0]
    lasting += [state.trained_s + (state.left_s or 0.0) for state in running]
    if not running or not lasting:
        return None
    one = sum(lasting) / len(lasting)
    to_come = sum(max(0.0, one - state.trained_s) for state in states if state.state in ("waiting", "interrupted"))
    return (sum(state.left_s or 0.0 for state in running) + to_come) / len(running)


def watching(states: Iterable[RunState]) -> Literal["goes on", "rests", "is over"]:
    """Return whether a study runs or waits, is over, or rests with runs that were interrupted and may be resumed."""
    found = {state.state for state in states}
    if found & {"waiting", "running"}:
        return "goes on"
    return "rests" if "interrupted" in found else "is over"


@contextmanager
def shown(studies: Sequence[Study], *, is_live: bool) -> Iterator[None]:
    """Show the studies while the block runs, on a terminal; elsewhere the log tells which job begins and ends."""
    if not (is_live and sys.stderr.isatty()):
        yield
        return
    stop = threading.Event()
    console = Console(stderr=True)

    def refresh(live: Live) -> None:
        while not stop.wait(_REFRESH_S):
            live.update(Group(*map(view, studies)))

    with Live(Group(*map(view, studies)), console=console, auto_refresh=True) as live:
        thread = threading.Thread(target=refresh, args=(live,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            live.update(Group(*map(view, studies)))


def watch(study: Study, *, every_s: float) -> None:
    """Show the study until no run waits or runs any more; interrupted ones have some minutes to be resumed in."""
    seen_s = time.monotonic()
    with Live(view(study), console=Console(), auto_refresh=False) as live:
        while (now := watching(map(run_state, study.folders()))) != "is over":
            seen_s = time.monotonic() if now == "goes on" else seen_s
            if time.monotonic() - seen_s > _PATIENCE_S:
                break
            time.sleep(every_s)
            live.update(view(study), refresh=True)


def runs_of(collection: Path) -> Study:
    """Return all runs of a collection as a study of its name."""
    found = []
    for folder in sorted(collection.glob("*/fold-*_seed-*")):
        named = _RUN.fullmatch(folder.name)
        if named is None:
            continue
        fold, seed = named["fold"], named["seed"]
        variant = folder.parent.name
        run = StudyRun(f"{variant}/{folder.name}", variant, variant.partition("+")[0], [], fold, int(seed), [])
        found.append(run)
    return Study(collection, collection.name, "", tuple(found))


def _table(states: Sequence[tuple[StudyRun, RunState]]) -> Table:
    folds = sorted({str(run.fold) for run, _ in states}, key=lambda fold: (len(fold), fold))
    has_seeds = len({run.seed for run, _ in states}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("variant", overflow="fold")
    for fold in folds:
        table.add_column(f"fold {fold}", overflow="fold")
    rows: dict[str, dict[str, RunState]] = {}
    for run, state in states:
        row = f"{run.variant} seed {run.seed}" if has_seeds else run.variant
        rows.setdefault(row, {})[str(run.fold)] = state
    for row, cells in rows.items():
        table.add_row(Text(row), *(_cell(cells.get(fold)) for fold in folds))
    return table


def _cell(state: RunState | None) -> Text:
    if state is None:
        return Text("")
    said: str = state.state
    if state.state == "running":
        said = f"epoch {min(state.epochs_done + 1, state.epochs or sys.maxsize)}/{state.epochs or '?'}"
        if state.epochs is not None and state.epochs_done >= state.epochs:
            said = "testing"
        elif state.left_s is not None:
            said += f", {_span(state.left_s)} left"
        said = f"running: {said}"
    elif state.state in ("failed", "interrupted") and state.epochs:
        said = f"{state.state} after epoch {state.epochs_done}/{state.epochs}"
    return Text(said, style=_COLOURS[state.state])


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
