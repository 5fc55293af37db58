"""Peak memory against the number of cases: preparing, training, evaluating, predicting, and an epoch of loading.

    python experiments/benchmarks/memory.py [--quick]

Each command is a process of its own on tiny volumes (32^3; loading 16^3, two loader processes): an array kept for each
case would add at least 100 KB (loading: 16 KB) a case. Memory is the peak resident memory of the process, or of the
largest of its child processes. Fitted are a line (KB a case) and a power of the number of cases (exponent).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from circumstances import circumstances, write  # experiments/benchmarks/circumstances.py
from growth import exponent  # experiments/benchmarks/growth.py
from loading import write_store  # experiments/benchmarks/loading.py

from joint_seg_cls.data import Folds, JointDataModule
from joint_seg_cls.scan import PreparedStore

SIDE, LOADED_SIDE, WORKERS = 32, 16, 2
CASES, LOADED = (10, 40, 160, 640), (100, 1000, 10000)
START = "start of an epoch, ms"
QUICK, QUICK_LOADED = (6, 12), (6, 24)
#: A small process that measures another: a process started from a large one has its memory at first.
_MEASURE = """
import os, sys
_, status, used = os.wait4(os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:]), 0)
print(used.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
#: Bytes of the system's unit of memory.
_UNIT = 1 if sys.platform == "darwin" else 1024


def peak(words: Sequence[str], folder: Path) -> tuple[float, list[str]]:
    """Return the peak memory in MB of a call of the interpreter, and the lines that it printed."""
    words = [sys.executable, "-S", "-c", _MEASURE, sys.executable, *words]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    used, code = map(int, last.split())
    if code:
        raise RuntimeError(f"{words[5:]}: {done.stderr[-2000:]}")
    return used * _UNIT / 2**20, lines


def write_cohort(store: PreparedStore, folder: Path) -> None:
    """Write the images and masks of a store as scans with a cohort table."""
    folder.mkdir()
    lines = ["subject\tflair\tlesion_mask\tdisease"]
    for case in store.cases:
        mask = case.lesion_mask()
        assert mask is not None
        for name, array in {"flair": case.image()[0], "mask": mask}.items():
            nib.save(nib.Nifti1Image(np.asarray(array), np.eye(4)), folder / f"{case.case}_{name}.nii.gz")
        lines.append(f"{case.subject}\t{case.case}_flair.nii.gz\t{case.case}_mask.nii.gz\t{case.disease}")
    (folder / "cohort.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def of_commands(cases: int) -> dict[str, float]:
    """Return the peak memory of each command on a cohort of ``cases``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(write_store(folder / "written", cases, SIDE), folder / "cohort")
        jsc, table = ["-m", "joint_seg_cls"], folder / "cohort" / "cohort.tsv"
        calls = {
            "prepare": [
                f"cohort={table}", "store=store", f"image_size={SIDE}", "preprocess/brain=none",
                "preprocess/bias_field=none",
            ],
            "train": [
                "data.store=store", "network.channels=4", "tracking=none", "trainer.accelerator=cpu", "runs=runs",
                "trainer.max_epochs=1", "data.folds.count=2", f"data.workers={WORKERS}",
            ],
            "evaluate": ["run={run}", "fold=1", "tracking=none", "device=cpu"],
            "predict": [f"input={table}", "checkpoint={run}", "out=findings", "page=false", "device=cpu"],
        }  # fmt: skip
        found = {}
        for command, words in calls.items():
            run = next((folder / "runs").rglob("DONE"), folder).parent
            found[command], _ = peak([*jsc, command, *(word.format(run=run) for word in words)], folder)
    return found


def load(store: Path) -> None:
    """Load two epochs and print the seconds to the first batch of the second."""
    module = JointDataModule(store, folds=Folds("random", 5), batch_size=2, workers=WORKERS)
    module.setup()
    loader = module.train_dataloader()
    for _ in loader:
        pass
    start = time.perf_counter()
    batches = iter(loader)
    next(batches)
    print(time.perf_counter() - start)
    for _ in batches:
        pass


def of_loading(cases: int) -> dict[str, float]:
    """Return the peak memory of loading ``cases`` and the start of an epoch."""
    with tempfile.TemporaryDirectory() as name:
        store = write_store(Path(name), cases, LOADED_SIDE).path
        memory, lines = peak([__file__, "--load", str(store)], Path.cwd())
        return {"loading": memory, START: 1e3 * float(lines[-1])}


def measure(sizes: Sequence[int], of: Callable[[int], dict[str, float]]) -> dict[str, dict[int, float]]:
    """Return each cost by number of cases."""
    found: dict[str, dict[int, float]] = {}
    for cases in sizes:
        for name, value in of(cases).items():
            found.setdefault(name, {})[cases] = round(value, 2)
        print(cases, {name: by[cases] for name, by in found.items()}, flush=True)
    return found


def main() -> None:
    """Measure, print a table, and write the result unless ``--quick``."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--quick", action="store_true", help="quick check: few cases, nothing written")
    words.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.load:
        load(asked.load)
        return
    began = circumstances("numpy")
    costs = measure(QUICK if asked.quick else CASES, of_commands)
    costs |= measure(QUICK_LOADED if asked.quick else LOADED, of_loading)
    rows: dict[str, Any] = {}
    for name, by in costs.items():
        cases, values = list(by), list(by.values())
        rows[name] = {"by cases": by, "exponent": round(exponent(cases, values), 3)}
        if name != START:
            rows[name]["KB a case"] = round(1024 * float(np.polyfit(cases, values, 1)[0]), 2)
        print(f"{name:22} {rows[name]}")
    if not asked.quick:
        write("memory", began, {"costs": rows})


if __name__ == "__main__":
    main()
