"""Counts that do not depend on the machine's speed: operations, slow convolutions, allocations, imports, opened files.

    python experiments/benchmarks/counts.py [--write]

Compares with ``results/counts.json`` and fails where a count has risen (``make bench-check``); ``--write`` records the
counts. Counts of torch's operations are compared for the recorded version of torch only. Host-device copies are
counted where there is a GPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo as dynamo
from joint_step import joint_step  # experiments/benchmarks/joint_step.py
from loading import write_store  # experiments/benchmarks/loading.py
from torch.profiler import ProfilerActivity, profile

from joint_seg_cls.data import Folds, JointDataModule
from joint_seg_cls.networks import JointNetwork

RECORD = Path(__file__).parent / "results" / "counts.json"
SIDE, CHANNELS = 48, 8
#: Commands that need the configuration at most; none may import torch.
LIGHT = ("--help", "train --help", "train data.stroe=store", "status study=missing")
_COUNT_MODULES = """
import sys
from joint_seg_cls.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
finally:
    print(len(sys.modules), file=sys.stderr)
"""
_COUNT_FILES = """
import functools, sys
from pathlib import Path
import joint_seg_cls
from joint_seg_cls.cli import main
root, layers, entered = Path(joint_seg_cls.__file__).parent, {"cli", "commands", "sweep", "runs", "config"}, set()
def note(frame, event, _):
    code = frame.f_code
    path = Path(code.co_filename)
    if event != "call" or code.co_name == "<module>" or not path.is_relative_to(root):
        return
    if code.co_name == "fit":
        sys.setprofile(None)
        print(len(entered), file=sys.stderr)
    if path.relative_to(root).parts[0] in layers:
        entered.add(path)
run = main.run_command
@functools.wraps(run)
def watched(config):
    sys.setprofile(note)
    return run(config)
main.run_command = watched
main.main(sys.argv[1:])
"""


def main() -> None:
    """Count, and compare or record."""
    words = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    words.add_argument("--write", action="store_true", help="record the counts")
    asked = words.parse_args()
    counts = {"torch": torch.__version__.partition("+")[0], "operations": operations(), "program": program()}
    print(json.dumps(counts, indent=1))
    if asked.write:
        RECORD.write_text(json.dumps(counts, indent=1) + "\n")
        return
    risen = list(risen_since(json.loads(RECORD.read_text()), counts))
    for line in risen:
        print(line, file=sys.stderr)
    sys.exit(1 if risen else 0)


def risen_since(record: dict, counts: dict) -> list[str]:
    """Return a line for each count above the record."""
    if record["torch"] != counts["torch"]:
        print(f"operations are not compared: recorded with torch {record['torch']}, counted with {counts['torch']}")
    kinds = ["program", *(["operations"] if record["torch"] == counts["torch"] else [])]
    before = {(kind, name): count for kind in kinds for name, count in record[kind].items()}
    now = {(kind, name): count for kind in kinds for name, count in counts[kind].items()}
    return [
        f"{kind}: {name}: {now[kind, name]}, {count} in the record"
        for (kind, name), count in before.items()
        if (kind, name) in now and now[kind, name] > count
    ]


def operations() -> dict[str, int]:
    """Return the counts of a training step and a prediction of the joint network, for batches of one and two."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)  # more threads split batches, which adds operations
    counts: dict[str, int] = {}
    for batch in (1, 2):
        step = joint_step(SIDE, batch, device, channels=CHANNELS)
        for name, run in (("training step", step.train), ("prediction", step.predict)):
            run()  # what is set up at the first call is not counted
            counts |= {f"{kind}, {name}, batch {batch}": count for kind, count in _counted(run).items()}
    network = JointNetwork(channels=CHANNELS, image_size=SIDE).eval()
    explained = dynamo.explain(network)(torch.zeros(2, 1, SIDE, SIDE, SIDE))
    return counts | {"graph breaks": explained.graph_break_count}


def _counted(run: Callable[[], None]) -> dict[str, int]:
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities, profile_memory=True) as record:
        run()
    events = record.key_averages()
    counts = {
        "operations": sum(event.count for event in events if event.key.startswith("aten::")),
        "slow convolutions": sum(event.count for event in events if "slow_conv" in event.key),
        "copies": sum(event.count for event in events if event.key == "aten::copy_"),
        "MB allocated": round(sum(max(event.self_cpu_memory_usage, 0) for event in events) / 2**20),
    }
    if torch.cuda.is_available():
        counts["host-device copies"] = sum(event.count for event in events if "Memcpy" in event.key)
    return counts


def program() -> dict[str, int]:
    """Return the modules that light commands import, and the files opened per batch of a training."""
    counts: dict[str, int] = {}
    # Without `site`, whose modules depend on how the program was installed.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for words in LIGHT:
        command = [sys.executable, "-S", "-c", _COUNT_MODULES, *words.split()]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        counts[f"modules of jsc {words}"] = int(ended.stderr.split()[-1])
    return counts | {"files opened for 4 batches": _files_opened(), "files entered by a job": _files_entered()}


def _files_entered() -> int:
    """Return the files of the program's outer layers that a job of a sweep enters before ``fit``."""
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store", cases=10, side=16)
        words = [
            "train", "-m", f"data.store={store.path}", f"runs={folder}/runs", "hydra/launcher=basic", "tracking=none",
            "network.channels=4", "data.workers=0", "data.folds.count=2", "trainer.accelerator=cpu",
            "trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "evaluate=false",
        ]  # fmt: skip
        command = [sys.executable, "-c", _COUNT_FILES, *words]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return next(int(line) for line in ended.stderr.splitlines() if line.isdecimal())


def _files_opened() -> int:
    opened: list[str] = []
    counting = False

    def note(event: str, arguments: tuple) -> None:
        if counting and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(note)
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder), cases=10, side=16)
        module = JointDataModule(store.path, folds=Folds("random", 5), augmentation=None, batch_size=2, workers=0)
        loader = module.train_dataloader()
        counting = True
        for _, _batch in zip(range(4), loader, strict=False):
            pass
        counting = False
    return len(opened)


if __name__ == "__main__":
    main()
