"""How costs grow: a training step with size, width, classes, channels and batch; loading with the cohort.

    python experiments/benchmarks/growth.py [--repeats 2] [--quick]

Each cost is measured at a few sizes and fitted by cost = a n^k (least squares of the logarithms). k = 1 is linear; the
voxels of an image grow with the third power of its side, so "voxels" is what its cost is fitted against. Written:
``results/growth.json`` and ``results/growth.png``.
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from circumstances import RESULTS, circumstances, write  # experiments/benchmarks/circumstances.py
from joint_step import joint_step, seconds  # experiments/benchmarks/joint_step.py
from loading import write_store  # experiments/benchmarks/loading.py

from joint_seg_cls.data import Folds, JointDataModule


class Sizes(NamedTuple):
    """What is varied; the first of each list is the smallest."""

    side: Sequence[int]
    width: Sequence[int]
    classes: Sequence[int]
    channels: Sequence[int]
    batch: Sequence[int]
    cases: Sequence[int]


FULL = Sizes((32, 48, 64, 96), (4, 8, 16, 32), (2, 4, 8, 16), (1, 2, 4, 8), (1, 2, 4), (20, 80, 320))
QUICK = Sizes((32, 64), (4, 8), (2, 4), (1, 2), (1, 2), (6, 12))
_SIDE = 48


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return k of the least-squares fit of cost = a n^k."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-9)), 1)[0])


def of_a_step(sizes: Sizes, repeats: int) -> dict[str, dict[float, float]]:
    """Return the seconds of a step by voxels, width, classes, channels and batch, each varied alone."""
    varied: Mapping[str, Callable[[int], tuple[float, Callable[[], None]]]] = {
        "voxels": lambda n: (float(n) ** 3, joint_step(n, 2).train),
        "width": lambda n: (n, joint_step(_SIDE, 2, channels=n).train),
        "classes": lambda n: (n, joint_step(_SIDE, 2, classes=n).train),
        "channels": lambda n: (n, joint_step(_SIDE, 2, in_channels=n).train),
        "batch": lambda n: (n, joint_step(_SIDE, n).train),
    }
    found: dict[str, dict[float, float]] = {}
    for (name, step), given in zip(varied.items(), sizes[:-1], strict=True):
        found[f"step by {name}"] = {at: seconds(run, repeats) for at, run in map(step, given)}
        print(name, found[f"step by {name}"], flush=True)
    return found


def of_loading(sizes: Sizes) -> dict[str, dict[float, float]]:
    """Return costs by cases: set-up of the data, start of an epoch, a batch, and peak memory of Python and NumPy."""
    costs: dict[str, dict[float, float]] = {
        f"{name} by cases": {} for name in ("set-up", "start of an epoch", "batch", "MB while loading")
    }
    for cases in sizes.cases:
        with tempfile.TemporaryDirectory() as folder:
            path = write_store(Path(folder), cases=cases, side=32).path
            module = JointDataModule(path, folds=Folds("random", 5), augmentation=None, batch_size=2, workers=0)
            times = [time.perf_counter()]
            module.setup()
            loader = module.train_dataloader()
            times.append(time.perf_counter())
            batches = iter(loader)
            next(batches)
            times.append(time.perf_counter())
            tracemalloc.start()
            for _ in zip(range(4), batches, strict=False):
                pass
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            begun = time.perf_counter()
            count = sum(1 for _ in zip(range(4), loader, strict=False))
            batch = (time.perf_counter() - begun) / count
        taken = (times[1] - times[0], times[2] - times[1], batch, peak / 2**20)
        for each, value in zip(costs.values(), taken, strict=True):
            each[cases] = value
    return costs


def draw(costs: Mapping[str, Mapping[float, float]], path: Path) -> None:
    """Draw each cost on logarithmic axes with its fit."""
    from matplotlib.figure import Figure

    columns = 3
    rows = -(-len(costs) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    for number, (name, measured) in enumerate(costs.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        at, values = list(measured), list(measured.values())
        power = exponent(at, values)
        middle = np.exp(np.mean(np.log(values)) - power * np.mean(np.log(at)))
        axes.loglog(at, values, "o")
        axes.loglog(at, middle * np.array(at) ** power, "-", linewidth=1)
        axes.set_title(f"{name}: exponent {power:.2f}", fontsize="medium")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure, print the exponents, and write result and plot unless ``--quick``."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--repeats", type=int, default=2)
    words.add_argument("--quick", action="store_true", help="quick check: two small sizes, once, nothing written")
    asked = words.parse_args()
    sizes, repeats = (QUICK, 1) if asked.quick else (FULL, asked.repeats)
    began = circumstances()
    costs = of_a_step(sizes, repeats) | of_loading(sizes)
    exponents: dict[str, float] = {}
    for name, measured in costs.items():
        exponents[name] = round(exponent(list(measured), list(measured.values())), 2)
        print(f"{name:28} exponent {exponents[name]:6.2f}")
    if asked.quick:
        return
    points: dict[str, Any] = {name: [list(point) for point in of.items()] for name, of in costs.items()}
    write("growth", began, {"exponents": exponents, "points": points})
    draw(costs, RESULTS / "growth.png")


if __name__ == "__main__":
    main()
