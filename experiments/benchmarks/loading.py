"""One epoch of loading and augmentation: our loader on a prepared store and MONAI's CacheDataset.

    python experiments/benchmarks/loading.py [--quick]

Both get the same arrays, batch size, number of workers, and augmentation: MONAI's ``RandAxisFlipd`` and
``RandRotated``, with its metadata on (MONAI's default) and off (fastest). MONAI's arrays are in memory, ours in
memory-mapped files, or in memory too (``cache=True``). Measured with the paper's probabilities (0.5), with every case
flipped and rotated (1), and without augmentation (0), for which MONAI returns the arrays without a copy. The
contestants alternate in each repeat; a repeat is one epoch after an unmeasured first one.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from circumstances import circumstances, write  # experiments/benchmarks/circumstances.py
from monai.data import CacheDataset, DataLoader, set_track_meta
from monai.transforms import Compose, RandAxisFlipd, RandRotated

from joint_seg_cls.data import Folds, JointDataModule, RandFlipRotated
from joint_seg_cls.scan import Geometry, Grid, PreparedCase, PreparedStore, write_case, write_store_record

DEGREES = 15.0
BATCH_SIZE = 2
CONTESTANTS = ("ours", "ours, cache", "MONAI", "MONAI without metadata")


def write_store(folder: Path, cases: int, side: int) -> PreparedStore:
    """Write a store of ``cases`` noise images within a ball, a thousandth of the voxels lesion."""
    random = np.random.default_rng(0)
    x, y, z = np.indices((side,) * 3) - (side - 1) / 2
    brain = x**2 + y**2 + z**2 < (0.45 * side) ** 2
    grid = Grid((side, side, side), np.eye(4))
    names = [f"case{number:02}" for number in range(cases)]
    for number, name in enumerate(names):
        mask = brain & (random.random(brain.shape) < 1e-3)
        disease = ("MS", "NMOSD")[number % 2]
        case = PreparedCase(folder / name, name, name, None, disease, True, name, Geometry(grid, grid))
        image = np.where(brain, random.standard_normal(brain.shape), 0).astype(np.float32)[None]
        write_case(case, image=image, brain_mask=brain, lesion_mask=mask, lesion_mask_native=mask)
    settings = {
        "_target_": "joint_seg_cls.preprocess.Pipeline",
        "brain": {"_target_": "joint_seg_cls.preprocess.NoExtraction"},
        "bias_field": {"_target_": "joint_seg_cls.preprocess.NoBiasField"},
        "registration": {"_target_": "joint_seg_cls.preprocess.ByHeader"},
        "layout": {"_target_": "joint_seg_cls.preprocess.CropResize", "image_size": side},
        "intensity": {"_target_": "joint_seg_cls.preprocess.ZScore", "over": "brain"},
        "raters": "intersection",
        "lesion_value": None,
    }
    kinds = {"classes": ["MS", "NMOSD"], "modalities": ["flair"], "model_shape": [side] * 3}
    write_store_record(folder, settings=settings, cases=names, **kinds)
    return PreparedStore(folder)


def our_loader(store: PreparedStore, probability: float, workers: int, *, cache: bool) -> Iterable[Any]:
    """Return the data module's training loader over all cases but the two of the test fold."""
    module = JointDataModule(
        store.path,
        folds=Folds("random", len(store.cases) // 2),
        augmentation=RandFlipRotated(probability, probability, DEGREES) if probability else None,
        batch_size=BATCH_SIZE,
        workers=workers,
        cache=cache,
    )
    return module.train_dataloader()


def monai_loader(store: PreparedStore, names: Iterable[str], probability: float, workers: int) -> Iterable[Any]:
    """Return the usual MONAI loader over the same cases."""
    by_name = {case.case: case for case in store.cases}
    items = []
    for name in names:
        mask = by_name[name].lesion_mask()
        assert mask is not None
        code = store.classes.index(by_name[name].disease or "MS")
        image = np.array(by_name[name].image())
        items.append({"image": image, "lesion_mask": mask.astype(np.float32)[None], "disease": code, "case": name})
    angle = float(np.deg2rad(DEGREES))
    keys = ("image", "lesion_mask")
    rotate = RandRotated(
        keys, angle, angle, angle, prob=probability, mode=("bilinear", "nearest"), padding_mode="zeros"
    )
    transforms = Compose([RandAxisFlipd(keys, prob=probability), rotate] if probability else [])
    dataset = CacheDataset(items, transforms, progress=False)
    return DataLoader(dataset, num_workers=workers, batch_size=BATCH_SIZE, shuffle=True, persistent_workers=workers > 0)


def epoch_seconds(loader: Iterable[Any]) -> float:
    """Return the wall time of one pass that touches the memory of each batch."""
    start = time.perf_counter()
    for batch in loader:
        image = batch["image"] if isinstance(batch, dict) else batch.image
        assert image.ndim == 5
    return time.perf_counter() - start


def measure(store: PreparedStore, probability: float, workers: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds per epoch of the contestants, which alternate."""
    ours = our_loader(store, probability, workers, cache=False)
    names = [case.case for case in ours.dataset.cases]  # pyright: ignore[reportAttributeAccessIssue]
    loaders: dict[str, Iterable[Any]] = {
        "ours": ours,
        "ours, cache": our_loader(store, probability, workers, cache=True),
    }
    setters: dict[str, Callable[[], None]] = {
        "ours": lambda: None,
        "ours, cache": lambda: None,
        "MONAI": lambda: set_track_meta(True),
        "MONAI without metadata": lambda: set_track_meta(False),
    }
    for name in CONTESTANTS[2:]:
        loaders[name] = monai_loader(store, names, probability, workers)
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for repeat in range(repeats + 1):
        for name in CONTESTANTS[repeat % 4 :] + CONTESTANTS[: repeat % 4]:
            setters[name]()  # workers are forked in the first epoch with the current setting
            taken = epoch_seconds(loaders[name])
            if repeat:
                seconds[name].append(taken)
    set_track_meta(True)
    return seconds


def main() -> None:
    """Measure, print a table, and write the result unless ``--quick``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="quick check: tiny, once, nothing written")
    quick = parser.parse_args().quick
    side, cases, repeats = (32, 6, 1) if quick else (96, 24, 5)
    rows, began = [], circumstances("monai", "numpy")
    print(f"{cases} cases of {side}^3, batches of {BATCH_SIZE}; ms a case, median of {repeats} epochs")
    print(
        f"{'probability':>11} {'workers':>7} "
        + " ".join(f"{name:>22}" for name in CONTESTANTS)
        + "   ours and ours with cache, over the fastest MONAI"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder), cases, side)
        loaded = cases - 2
        for probability in (0.5, 1.0, 0.0):
            for workers in (0, 2):
                seconds = measure(store, probability, workers, repeats)
                ms = {name: 1e3 * statistics.median(taken) / loaded for name, taken in seconds.items()}
                fastest = min(ms[name] for name in CONTESTANTS[2:])
                ratio = {name: ms[name] / fastest for name in CONTESTANTS[:2]}
                rows.append({"probability": probability, "workers": workers, "ms_a_case": ms, "ratio": ratio})
                print(
                    f"{probability:>11} {workers:>7} " + " ".join(f"{ms[name]:>22.2f}" for name in CONTESTANTS), end=""
                )
                print(" " + " ".join(f"{ratio[name]:>11.2f}" for name in CONTESTANTS[:2]), flush=True)
    if quick:
        return
    setting = {"side": side, "cases": cases, "batch_size": BATCH_SIZE, "repeats": repeats, "degrees": DEGREES}
    write("loading", began, {"setting": setting, "rows": rows})


if __name__ == "__main__":
    main()
