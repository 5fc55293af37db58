"""State of a run, read from its folder only: waiting, running, done, failed or interrupted."""

import csv
import json
import math
import time
from collections.abc import Iterable
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
PROVENANCE = "provenance.json"
PER_CASE = "per_case.csv"
#: Interval of the heartbeat of a running run; a heartbeat older than STALE_S belongs to a killed run.
HEARTBEAT_S = 60.0
STALE_S = 3 * HEARTBEAT_S
#: Number of recent epochs whose mean duration gives the time left.
_RECENT_EPOCHS = 5

State = Literal["waiting", "running", "done", "failed", "interrupted"]


@final
@dataclass(frozen=True)
class RunState:
    """State of a run.

    Args:
        state: ``waiting`` before the start; ``interrupted`` if the run neither finished nor is running.
        epochs: planned epochs; None if unknown.
        trained_s: duration of the finished epochs in seconds.
        left_s: estimated seconds until the last epoch is finished; None if unknown.
        reason: the last line of the error of a failed run.
    """

    state: State
    epochs_done: int = 0
    epochs: int | None = None
    trained_s: float = 0.0
    left_s: float | None = None
    reason: str = ""


def run_state(folder: Path, now_s: float | None = None) -> RunState:
    """Return the state of the run in ``folder`` at ``now_s`` (seconds since the Unix epoch; default: now)."""
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


def run_code(folder: Path) -> dict[str, str] | None:
    """Return the versions and fingerprints of the code of the run in ``folder``; None if unknown."""
    try:
        record = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        own = [record["identity"], *record.get("earlier_code", [])]
        found = {
            str(key): {str(each.get(key)) for each in own}
            for key in own[0]
            if key == "results_version" or key.startswith("code.")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
    return {key: " then ".join(sorted(values)) for key, values in found.items()} or None


def differing_code(folders: Iterable[Path]) -> list[str]:
    """Return a sentence for each part of the code in which the runs to be compared differ."""
    by_part: dict[str, dict[str, list[str]]] = {}
    for folder in folders:
        for part, value in (run_code(folder) or {}).items():
            by_part.setdefault(part, {}).setdefault(value, []).append(f"{folder.parent.name}/{folder.name}")
    return [
        f"{part.removeprefix('code.')}: these runs used different code: "
        + "; ".join(
            f"{value}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" for value, names in of.items()
        )
        for part, of in by_part.items()
        if len(of) > 1 or any(" then " in value for value in of)
    ]


def _is_alive(heartbeat: Path, now_s: float) -> bool:
    try:
        return now_s - heartbeat.stat().st_mtime < STALE_S
    except OSError:
        return False


def _seconds_by_epoch(metrics: Path) -> list[float]:
    try:
        with metrics.open(newline="", encoding="utf-8") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return []
    return seconds if all(map(math.isfinite, seconds)) else []


def _epochs(config: Path) -> int | None:
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        return int(content["trainer"]["max_epochs"])
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError, yaml.YAMLError):
        return None


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""
