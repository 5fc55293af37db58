"""Where a run lies: its folder is named by what decides its numbers, never by time."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

#: Keys that change no result: where things lie, how fast they go, what is shown. A prefix covers all keys below it.
NEUTRAL = (
    "runs",
    "collection",
    "study",
    "evaluate",
    "trust",
    "tracking",
    "hydra",
    "accept",
    "data.store",
    "data.folds.path",  # what the file says decides, and is named by its hash
    "data.folds.allow",
    "data.workers",
    "data.cache",
    "trainer.accelerator",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
    "trainer.profiler",
    "trainer.logger",
    "trainer.default_root_dir",
)
#: Keys that stand elsewhere in a run's path.
_IN_PATH = ("fold", "seed", "ablation", "network")
_LONGEST = 80


def changes_result(key: str) -> bool:
    """Return whether two runs that differ in ``key`` may have different numbers."""
    return not any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in NEUTRAL)


def variant_name(choices: Mapping[str, Any], overrides: Iterable[str]) -> str:
    """Return the ablation (or the baseline network), with a suffix for every further override that changes results."""
    network = choices.get("network", "joint")
    base = choices.get("ablation", "joint") if network == "joint" else network
    suffixes = sorted({_suffix(override) for override in overrides} - {""})
    name = "+".join([base, *suffixes])
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}-{digest}"


def run_path(runs: str, collection: str, variant: str, fold: int | str, seed: int) -> Path:
    """Return the run folder."""
    return Path(runs).expanduser() / collection / variant / f"fold-{fold}_seed-{seed}"


def identity(config: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Return all keys that decide a run's numbers, flat, with ``facts`` (hashes of data and split) beside them."""
    flat = {key: value for key, value in _flatten(config) if changes_result(key)}
    return flat | facts


def _suffix(override: str) -> str:
    key, _, value = override.lstrip("+~").partition("=")
    if not changes_result(key) or key in _IN_PATH:
        return ""
    text = f"{key}-{value}".strip("'\"")
    safe = re.sub(r"[^\w.-]+", "-", text).strip("-")
    if safe == text:
        return safe
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:4]}" if not re.fullmatch(r"[\w./-]+", text) else safe


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [
            pair for key, child in value.items() for pair in _flatten(child, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, value)]
