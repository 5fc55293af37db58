"""How long the program takes to start: help, status, one step of training, and each job of a sweep.

    python experiments/benchmarks/startup.py [--quick]

Printed are seconds and, for the one-step run, the ratio to the bare imports of torch, Lightning and MONAI. A job's
overhead is what a sweep of several one-step runs takes longer per run after the first.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from circumstances import circumstances, write  # experiments/benchmarks/circumstances.py
from loading import write_store  # experiments/benchmarks/loading.py

BARE = ["-c", "import torch, lightning, monai"]
#: Seconds, or the ratio to the bare imports, at most.
TARGETS = {"--help": 0.3, "train --help": 1.5, "one step over bare imports": 1.5, "job after the first": 3.0}


def taken(words: list[str], folder: Path) -> float:
    """Return the seconds of one call of the interpreter."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def measure(repeats: int, jobs: int) -> dict[str, float]:
    """Return the seconds of each call (the least of ``repeats``) and the ratio."""
    jsc = ["-m", "joint_seg_cls"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = write_store(folder / "store", cases=10, side=32).path
        step = [
            *jsc, "train", f"data.store={store}", "network.channels=4", "tracking=none", "data.workers=0",
            "data.folds.count=2", "trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=1",
        ]  # fmt: skip
        light = {"--help": ["--help"], "train --help": ["train", "--help"]}
        found = {key: min(taken([*jsc, *words], folder) for _ in range(repeats)) for key, words in light.items()}
        found["bare imports"] = min(taken(BARE, folder) for _ in range(repeats))
        found["one step"] = min(taken([*step, f"runs={folder / f'runs{n}'}"], folder) for n in range(repeats))
        found["one step over bare imports"] = found["one step"] / found["bare imports"]
        sweep = [*step, "-m", f"runs={folder / 'sweep'}", "hydra.launcher.workers=1"]
        first = taken([*sweep, "seed=0,1"], folder)
        more = taken([*sweep, f"seed={','.join(str(2 + n) for n in range(jobs))}"], folder)
        found["job after the first"] = (more - first) / (jobs - 2)
    return {key: round(value, 3) for key, value in found.items()}


def main() -> None:
    """Measure, print, and write the result unless ``--quick``."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--quick", action="store_true", help="quick check: once, three jobs, nothing written")
    asked = words.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    began = circumstances("lightning", "monai")
    result: dict[str, Any] = measure(*((1, 3) if asked.quick else (3, 6)))
    for key, value in result.items():
        target = f"  target {TARGETS[key]}" if key in TARGETS else ""
        print(f"{key:28} {value:8.2f}{target}")
    if not asked.quick:
        write("startup", began, result)


if __name__ == "__main__":
    main()
