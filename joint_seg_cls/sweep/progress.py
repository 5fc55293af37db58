"""The progress table of a study (variants by folds), read from its run folders; live on a terminal."""

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
#: Time without a running job after which `watch` stops.
_PATIENCE_S = 300.0
_RUN = re.compile(r"fold-(?P<fold>.+)_seed-(?P<seed>\d+)")


def view(study: Study) -> RenderableType:
    """Return the state of a study: counts, table, and the errors of failed runs."""
    states = [(run, run_state(study.collection / run.folder)) for run in study.runs]
    failed = [
        Text(f"{run.folder}: {state.reason}; see {study.collection / run.folder}")
        for run, state in states
        if state.state == "failed"
    ]
    mixed = [Text(f"warning: {line}") for line in differing_code(study.folders())]
    return Group(Text(headline(study, [state for _, state in states])), _table(states), *failed, *mixed)


def headline(study: Study, states: Sequence[RunState]) -> str:
    """Return the number of runs in each state and the estimated remaining time."""
    counts = {name: sum(state.state == name for state in states) for name in _ORDER}
    listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    left_s = time_left_s(states)
    left = "" if left_s is None else f", about {_span(left_s)} left"
    return f"study {study.name}: {len(states)} runs, {listed}{left}"


def time_left_s(states: Sequence[RunState]) -> float | None:
    """Return the seconds until all runs are trained at the current number of parallel runs; None if unknown.

    Waiting and interrupted runs are assumed to take the mean time of the other runs.
    """
    running = [state for state in states if state.state == "running" and state.left_s is not None]
    lasting = [state.trained_s for state in states if state.state == "done" and state.trained_s > 0]
    lasting += [state.trained_s + (state.left_s or 0.0) for state in running]
    if not running or not lasting:
        return None
    one = sum(lasting) / len(lasting)
    to_come = sum(max(0.0, one - state.trained_s) for state in states if state.state in ("waiting", "interrupted"))
    return (sum(state.left_s or 0.0 for state in running) + to_come) / len(running)


def watching(states: Iterable[RunState]) -> Literal["active", "paused", "over"]:
    """Return whether runs are running or waiting (active), only interrupted (paused), or neither (over)."""
    found = {state.state for state in states}
    if found & {"waiting", "running"}:
        return "active"
    return "paused" if "interrupted" in found else "over"


@contextmanager
def shown(studies: Sequence[Study], *, is_live: bool) -> Iterator[None]:
    """Show the studies on a terminal while the block runs; otherwise show nothing."""
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
    """Show the study until no run is waiting or running; interrupted runs may be resumed for some minutes."""
    active_s = time.monotonic()
    with Live(view(study), console=Console(), auto_refresh=False) as live:
        while (now := watching(map(run_state, study.folders()))) != "over":
            active_s = time.monotonic() if now == "active" else active_s
            if time.monotonic() - active_s > _PATIENCE_S:
                break
            time.sleep(every_s)
            live.update(view(study), refresh=True)


def runs_of(collection: Path) -> Study:
    """Return all runs of a collection as a study with the collection's name."""
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
    text: str = state.state
    if state.state == "running":
        text = f"epoch {min(state.epochs_done + 1, state.epochs or sys.maxsize)}/{state.epochs or '?'}"
        if state.epochs is not None and state.epochs_done >= state.epochs:
            text = "testing"
        elif state.left_s is not None:
            text += f", {_span(state.left_s)} left"
        text = f"running: {text}"
    elif state.state in ("failed", "interrupted") and state.epochs:
        text = f"{state.state} after epoch {state.epochs_done}/{state.epochs}"
    return Text(text, style=_COLOURS[state.state])


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
