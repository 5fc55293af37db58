"""Where a run stands, read from its folder alone: waiting, running, done, failed or interrupted."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import yaml

DONE = "DONE"
FAILED = "FAILED"
HEARTBEAT = "heartbeat"
METRICS = "metrics.csv"
CONFIG = "config.yaml"
LOG = "log.txt"
#: A live run touches its heartbeat as often; one that is older by this many beats belongs to a run that was killed.
HEARTBEAT_S = 60.0
STALE_S = 3 * HEARTBEAT_S
#: Epochs whose mean duration tells the time left.
_RECENT_EPOCHS = 5

State = Literal["waiting", "running", "done", "failed", "interrupted"]


@final
@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Args:
        state: ``waiting`` where nothing has begun; ``interrupted`` where it neither ended nor lives.
        epochs_done: finished epochs.
        epochs: how many there will be; None where that is not known.
        trained_s: seconds that the finished epochs took.
        left_s: seconds until the last epoch is finished, by the recent ones; None where that is not known.
        reason: the last line of what a failed run said.
    """

    state: State
    epochs_done: int = 0
    epochs: int | None = None
    trained_s: float = 0.0
    left_s: float | None = None
    reason: str = ""


def run_state(folder: Path, now_s: float | None = None) -> RunState:
    """Return where the run in ``folder`` stands at ``now_s`` (seconds since the epoch; the present by default)."""
    seconds = _seconds_by_epoch(folder / METRICS)
    epochs = _epochs(folder / CONFIG)
    known = {"epochs_done": len(seconds), "epochs": epochs, "trained_s": sum(seconds, 0.0)}
    if (folder / DONE).is_file():
        return RunState("done", **known)
    if (folder / FAILED).is_file():
        return RunState("failed", **known, reason=_last_line(folder / FAILED))
    if not (folder / CONFIG).is_file():
        return RunState("waiting")
    if not _is_alive(folder / HEARTBEAT, time.time() if now_s is None else now_s):
        return RunState("interrupted", **known)
    recent = seconds[-_RECENT_EPOCHS:]
    left_s = None if not recent or epochs is None else sum(recent) / len(recent) * max(0, epochs - len(seconds))
    return RunState("running", **known, left_s=left_s)


def _is_alive(heartbeat: Path, now_s: float) -> bool:
    try:
        return now_s - heartbeat.stat().st_mtime < STALE_S
    except FileNotFoundError:
        return False


def _seconds_by_epoch(metrics: Path) -> list[float]:
    try:
        with metrics.open(newline="", encoding="utf-8") as file:
            return [float(row["seconds"]) for row in csv.DictReader(file)]
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return []


def _epochs(config: Path) -> int | None:
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        return int(content["trainer"]["max_epochs"])
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError, yaml.YAMLError):
        return None


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""
