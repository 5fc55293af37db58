"""How long the report of a study takes, and the functions that take longest.

    python experiments/benchmarks/study_report.py [--variants 19] [--cases 105] [--folds 5] [--profile] [--quick]

One variant is trained for a step on each fold; its run folders are copied for the other variants, with other Dice and
probabilities. ``--profile`` prints where the report's time goes.
"""

import argparse
import contextlib
import cProfile
import csv
import importlib
import io
import os
import pstats
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from circumstances import circumstances, write  # experiments/benchmarks/circumstances.py
from loading import write_store  # experiments/benchmarks/loading.py

#: Seconds for 95 runs, at most.
TARGET_S = 120.0
_MOST_SHOWN = 40


def make_study(folder: Path, variants: int, cases: int, folds: int) -> Path:
    """Train one variant on all folds and copy it; return the folder of all runs."""
    store = write_store(folder / "store", cases=cases, side=32).path
    command = [
        sys.executable, "-m", "joint_seg_cls", "train", "-m", f"data.store={store}", f"runs={folder / 'runs'}",
        "network.channels=4", "tracking=none", "data.workers=0", f"data.folds.count={folds}", "trainer.accelerator=cpu",
        "trainer.max_epochs=1", "trainer.limit_train_batches=1", f"fold={','.join(map(str, range(folds)))}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    collection = folder / "runs" / "store"
    (first,) = {path.parent for path in collection.glob("*/fold-*_seed-*")}
    for number in range(1, variants):
        other = collection / f"joint+copy-{number}"
        shutil.copytree(first, other, copy_function=os.link)
        for path in other.glob("*/per_case.csv"):
            _vary(path, random.Random(number))  # noqa: S311 - numbers to look at
    return collection


def _vary(path: Path, numbers: random.Random) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["p_MS"] = str(min(max(float(row["p_MS"]) + numbers.gauss(0, 0.1), 0.01), 0.99))
        row["p_NMOSD"] = str(1 - float(row["p_MS"]))
        row["dsc"] = str(min(max(float(row["dsc"] or 0) + numbers.random() / 2, 0), 1))
    path.unlink()  # a link to the first variant's table
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def report(collection: Path, *, profiled: bool) -> float:
    """Make the report of all runs of a collection in this process; return its seconds without imports."""
    from joint_seg_cls.cli.main import main

    importlib.import_module("joint_seg_cls.commands.report")

    words = ["report", f"runs={collection.parent}", f"collection={collection.name}", "device=cpu"]
    profiler = cProfile.Profile()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        profiler.runcall(main, words) if profiled else main(words)
    taken = time.perf_counter() - start
    if profiled:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats("joint_seg_cls", _MOST_SHOWN)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(_MOST_SHOWN)
    return taken


def main() -> None:
    """Measure, print, and write the result unless ``--quick`` or ``--profile``."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("variants", 19), ("cases", 105), ("folds", 5)):
        words.add_argument(f"--{name}", type=int, default=default)
    words.add_argument("--profile", action="store_true", help="print where the time goes; nothing written")
    words.add_argument("--quick", action="store_true", help="quick check: four runs, nothing written")
    asked = words.parse_args()
    variants, cases, folds = (2, 12, 2) if asked.quick else (asked.variants, asked.cases, asked.folds)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    began = circumstances("pandas", "matplotlib")
    with tempfile.TemporaryDirectory() as folder:
        collection = make_study(Path(folder), variants, cases, folds)
        taken = report(collection, profiled=asked.profile)
        pages = list(collection.glob("studies/**/index.html"))
        if len(pages) != 1:
            raise RuntimeError(f"expected one report, found {pages}")
    runs = variants * folds
    print(f"report of {runs} runs: {taken:.1f} s (target for 95 runs: {TARGET_S:.0f} s)")
    if not (asked.quick or asked.profile):
        write("study_report", began, {"runs": runs, "cases": cases, "seconds": round(taken, 1)})


if __name__ == "__main__":
    main()
