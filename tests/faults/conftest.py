"""A small cohort with its store, runs, study and findings."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
from filelock import FileLock

SHAPE = (24, 26, 22)
SMALL = (
    "network.channels=4",
    "tracking=none",
    "data.workers=0",
    "data.folds.count=2",
    "trainer.max_epochs=3",
    "trainer.accelerator=cpu",
    "protocol=paper",
)
PREPARE = ("image_size=16", "preprocess/brain=none", "preprocess/bias_field=none")
TWO = "[scans/s0_flair.nii.gz,scans/s1_flair.nii.gz]"
#: Keys that may differ between an interrupted and an uninterrupted run.
_NO_RESULTS = {"heartbeat", "log.txt", ".verified.json"}


@pytest.fixture(scope="session")
def faults():
    """Return what these tests share: words of commands, and what is looked at after a fault."""
    return SimpleNamespace(
        small=SMALL, prepare=PREPARE, results=results, descendants=descendants, wait_until=wait_until
    )


@pytest.fixture(scope="session")
def world(forks, tmp_path_factory, request):
    """A folder with a cohort of four scans, their store, two trained runs, their study, and findings of two scans."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "first-world"
    with FileLock(f"{folder}.lock"):
        if not (folder / "ready").exists():
            write_cohort(folder)
            for words in (
                ["prepare", "cohort=cohort.tsv", "store=store", "workers=0", *PREPARE],
                *(["train", "data.store=store", f"fold={fold}", "study=small", *SMALL] for fold in (0, 1)),
            ):
                assert forks.run(folder, *words) == 0, (folder / "said.txt").read_text()
            (run,) = folder.glob("runs/store/*/fold-0_seed-0")
            words = (f"input={TWO}", f"checkpoint={run}", "out=found", "device=cpu", "page=false")
            assert forks.run(folder, "predict", *words) == 0, (folder / "said.txt").read_text()
            (folder / "ready").touch()
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("worlds") / "world"))


def write_cohort(folder: Path, count: int = 4) -> None:
    rng = np.random.default_rng(0)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    middle = (np.array(SHAPE) - 1) / 2
    brain = (((index - middle) / (0.45 * np.array(SHAPE))) ** 2).sum(axis=-1) < 1
    lines = ["subject\tflair\tlesion_mask\tdisease"]
    (folder / "scans").mkdir(parents=True)
    for number in range(count):
        lesion = (np.abs(index - middle - number % 2) < 3).all(axis=-1)
        scan = np.where(brain, rng.normal(100, 20, SHAPE) + 60 * lesion, 0).astype(np.float32)
        for name, data in (("flair", scan), ("lesion", lesion.astype(np.uint8))):
            nib.save(nib.Nifti1Image(data, np.diag([-5.0, -5, 5, 1])), folder / f"scans/s{number}_{name}.nii.gz")
        files = f"scans/s{number}_flair.nii.gz\tscans/s{number}_lesion.nii.gz"
        lines.append(f"s{number}\t{files}\t{('MS', 'NMOSD')[number % 2]}")
    (folder / "cohort.tsv").write_text("\n".join(lines))


def results(folder: Path) -> dict[str, str]:
    """Return a digest of every result below a folder, without clocks and locks."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(_content(path, folder)).hexdigest()
        for path in files
        if path.name not in _NO_RESULTS and not path.name.endswith(".lock") and path.parent.name != ".locks"
    }


def _content(path: Path, folder: Path) -> bytes:
    if path.suffix == ".ckpt":
        import torch

        content = torch.load(path, weights_only=True)
        kept = {key: content[key] for key in ("state_dict", "optimizer_states", "epoch", "global_step")}
        return _told(kept).encode()
    if path.name in ("provenance.json", "DONE"):
        record = json.loads(path.read_text())
        record.pop("time")
        return json.dumps(record, sort_keys=True).replace(str(folder), "here").encode()
    if path.suffix == ".json" and path.parent.name == "out":
        record = json.loads(path.read_text())
        record.pop("cost", None)
        return json.dumps(record, sort_keys=True).encode()
    if path.name == "metrics.csv":
        table = pd.read_csv(path, dtype=str)
        return table[[name for name in table if not name.startswith("seconds")]].to_csv().encode()
    return path.read_bytes().replace(str(folder).encode(), b"here")


def _told(value) -> str:
    if isinstance(value, dict):
        return str({key: _told(each) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return str([_told(each) for each in value])
    return hashlib.sha256(value.numpy().tobytes()).hexdigest() if hasattr(value, "numpy") else str(value)


def descendants(leader: int, folder: Path) -> list[int]:
    """Return the processes that a command has left: those of its session, and those that it started in others."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == leader:
                continue
            if os.getsid(process.pid) == leader or process.environ().get("JSC_FAULTS") == str(folder):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def wait_until(what, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
