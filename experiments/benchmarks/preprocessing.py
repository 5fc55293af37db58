"""Brain extraction and bias field: ours and the plain chain of the BET library and N4 at full resolution.

    JSC_TEST_SCANS=folder python experiments/benchmarks/preprocessing.py [--plain N] [--quick]

Scans: ``open_ms/raw/*_flair.nii.gz`` with a ``_brain_mask``, in the folder JSC_TEST_SCANS; without it simulated heads.
The plain chain: resample to 1 mm RAS+, brainextractor with its own ``run`` and ``compute_mask``, resample the mask to
the scan's grid, N4 on every voxel with SimpleITK's defaults, on all cores as is SimpleITK's default (the BET library
has no threads). It takes minutes per scan and therefore runs only on the first ``--plain`` scans (1). Every step runs
alone in its own process, ours with one thread, which gives its peak memory; imports are not timed. Ours then runs on
all scans in two processes, as with ``jsc prepare workers=2``, from the file to the image for the network; the ratio is
that of scans per hour on the same two cores; a second one, ``ratio_steps_alone``, compares our two steps on one core
with the plain chain.

brainextractor's ``compute_mask`` shifts the mask by one voxel along each axis (it drops the half voxel between its
bounds and the voxel centres): Dice between the two is given with the mask as written and shifted back.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before the imports that read it, here and in the processes

import nibabel as nib  # noqa: E402
import numpy as np  # noqa: E402

from joint_seg_cls.cli.main import main as jsc  # noqa: E402
from joint_seg_cls.parallel import over_processes  # noqa: E402
from joint_seg_cls.preprocess import N4, Bet, ByHeader, CropResize, ExtractedBrain, Pipeline, ZScore  # noqa: E402
from joint_seg_cls.scan import Grid, read_mask, read_scan, resample  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "preprocessing.json"
WORKERS = 2
TARGETS = {"scans_an_hour_ratio": 3.0, "dice": 0.98, "median_abs_ln_ratio": 0.01}


def plain_bet(flair: Path, out: Path, iterations: int) -> None:
    """Write the masks of the BET library: as written, and shifted back by one voxel."""
    from brainextractor import BrainExtractor

    scan = read_scan(flair)
    native = scan.grid.canonical()
    x, y, z = (round(n * length) for n, length in zip(native.shape, native.spacing_mm, strict=True))
    change = np.diag([*(1 / np.array(native.spacing_mm)), 1.0])
    change[:3, 3] = (np.array(native.shape) - 1 - (np.array([x, y, z]) - 1) / np.array(native.spacing_mm)) / 2
    grid = Grid((x, y, z), native.affine @ change)
    with contextlib.redirect_stdout(io.StringIO()):
        library = BrainExtractor(nib.Nifti1Image(resample(scan.data, scan.grid, grid, linear=True), np.eye(4)))
        library.run(iterations)
        mask = library.compute_mask() > 0
    for name, moved in (("plain_mask", mask), ("plain_mask_back", np.roll(mask, 1, axis=(0, 1, 2)))):
        np.save(out / name, resample(moved.astype(np.float32), grid, scan.grid, linear=True) > 0.5)


def plain_n4(flair: Path, out: Path, iterations: int) -> None:
    """Write the logarithm of SimpleITK's field with its defaults on every voxel."""
    import SimpleITK

    scan, brain = read_scan(flair), np.load(out / "plain_mask.npy")
    volumes = [SimpleITK.GetImageFromArray(array.T) for array in (scan.data, brain.astype(np.uint8))]
    for volume in volumes:
        volume.SetSpacing(scan.grid.spacing_mm)
    n4 = SimpleITK.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([min(50, iterations)] * 4)
    n4.Execute(*volumes)
    np.save(out / "plain_field", SimpleITK.GetArrayFromImage(n4.GetLogBiasFieldAsImage(volumes[0])).T)


def our_bet(flair: Path, out: Path, iterations: int) -> None:
    """Write the mask of ``preprocess/brain=bet``."""
    np.save(out / "our_mask", Bet(iterations=iterations)(read_scan(flair)))


def our_n4(flair: Path, out: Path, iterations: int) -> None:
    """Write the logarithm of the field of ``preprocess/bias_field=n4``."""
    scan, brain = read_scan(flair), np.load(out / "our_mask.npy")
    corrected = N4(iterations=[min(50, iterations)] * 4)(scan.data, scan.grid, brain).image
    used = brain & (scan.data > 0)
    field = np.zeros(brain.shape, np.float32)
    field[used] = np.log(scan.data[used] / corrected[used])
    np.save(out / "our_field", field)


def whole(flair: Path, iterations: int) -> float:
    """Preprocess one scan as ``jsc prepare`` does, without writing; return the brain's volume."""
    steps = N4(iterations=[min(50, iterations)] * 4), ByHeader(), CropResize(160), ZScore()
    return (
        Pipeline(ExtractedBrain(Bet(iterations=iterations)), *steps, "intersection").model_input([flair], None).brain_ml
    )


def our_whole(flair: Path, out: Path, iterations: int) -> None:
    """Run the whole chain on one scan: brain, field, crop, resize, z-score."""
    del out
    whole(flair, iterations)


class _Whole:
    """``whole`` with its number of iterations, for the processes."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations

    def __call__(self, flair: Path) -> float:
        return whole(flair, self.iterations)


def alone(step: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Run a step in its own process; return its seconds and peak memory."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (step, arguments))


def _measured(step: Callable[..., None], arguments: tuple) -> dict[str, float]:
    for name in ("brainextractor", "SimpleITK"):
        importlib.import_module(name)  # not timed
    before = _peak_mb()
    start = time.perf_counter()
    step(*arguments)
    return {"seconds": time.perf_counter() - start, "peak_mb": _peak_mb(), "of_it_imports_mb": before}


def _peak_mb() -> float:
    status = Path("/proc/self/status")  # of this process: getrusage includes the parent
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice of two masks."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def compared(flair: Path, given: Path, out: Path) -> dict[str, float]:
    """Return the agreement of the outputs with each other and with the provided mask."""
    masks = {path.stem: np.load(path) for path in out.glob("*_mask*.npy")}
    reference = read_mask(given, read_scan(flair).grid)
    found = {f"{name}_dice_with_given": dice(mask, reference) for name, mask in sorted(masks.items())}
    if "plain_mask" in masks:
        found["dice"] = dice(masks["our_mask"], masks["plain_mask_back"])
        found["dice_as_the_library_writes_it"] = dice(masks["our_mask"], masks["plain_mask"])
        ours, plain = np.load(out / "our_field.npy"), np.load(out / "plain_field.npy")
        apart = (ours - plain)[masks["our_mask"] & masks["plain_mask"] & (ours != 0)]
        found["median_abs_ln_ratio"] = float(np.median(np.abs(apart - np.median(apart))))
    return found


def scans(folder: Path) -> tuple[str, list[tuple[Path, Path]]]:
    """Return the kind of scans, and each scan with its brain mask."""
    real = os.environ.get("JSC_TEST_SCANS")
    if real:
        masks = sorted(Path(real).glob("open_ms/raw/*_brain_mask.nii.gz"))
        return "real", [(Path(str(mask).replace("_brain_mask", "_flair")), mask) for mask in masks]
    jsc(["phantom", f"out={folder}", "subjects=2", "spacing_mm=2", "workers=0", "skull=shell"])
    flairs = sorted(folder.glob("*/*/*_flair.nii.gz"))
    return "simulated", [(flair, Path(str(flair).replace("_flair", "_brain-mask"))) for flair in flairs]


def main() -> None:
    """Measure, print a table, and write the result unless ``--quick``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", type=int, default=1, help="number of scans for the plain chain")
    parser.add_argument("--quick", action="store_true", help="quick check: few iterations, nothing written")
    options = parser.parse_args()
    iterations = 20 if options.quick else 1000
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        kind, pairs = scans(Path(folder) / "heads")
        if not pairs:
            sys.exit(f"{os.environ['JSC_TEST_SCANS']} contains no open_ms/raw/*_brain_mask.nii.gz")
        print(f"{len(pairs)} {kind} scans; load {os.getloadavg()[0]:.1f}", flush=True)
        for number, (flair, given) in enumerate(pairs):
            out = Path(folder) / str(number)
            out.mkdir()
            steps = [our_bet, our_n4, our_whole, *([plain_bet, plain_n4] if number < options.plain else [])]
            row: dict[str, Any] = {"scan": flair.name, "shape": list(read_scan(flair).grid.shape)}
            row |= {step.__name__: alone(step, flair, out, iterations) for step in steps}
            rows.append(row | compared(flair, given, out))
            _show(rows[-1])
        flairs = [flair for flair, _ in pairs] * (2 if len(pairs) % WORKERS else 1)
        start = time.perf_counter()
        for flair, result in over_processes(_Whole(iterations), flairs, workers=WORKERS, label="ours"):
            if isinstance(result, Exception):
                raise RuntimeError(flair.name) from result
        both = {"scans": len(flairs), "workers": WORKERS, "seconds": time.perf_counter() - start}
    summary = _summary(rows, both)
    print(json.dumps(summary, indent=1))
    if not options.quick:
        _write(kind, rows, summary)


def _show(row: dict[str, Any]) -> None:
    print(row["scan"], row["shape"])
    for name, value in row.items():
        if isinstance(value, dict):
            print(f"  {name:<34} {value['seconds']:7.1f} s {value['peak_mb']:7.0f} MB")
        elif isinstance(value, float):
            print(f"  {name:<34} {value:7.4f}", flush=True)


def _summary(rows: list[dict[str, Any]], both: dict[str, Any]) -> dict[str, Any]:
    def seconds(row: dict[str, Any], who: str) -> float:
        return row[f"{who}_bet"]["seconds"] + row[f"{who}_n4"]["seconds"]

    shared = [row for row in rows if "plain_bet" in row]
    found: dict[str, Any] = {
        "our_scans_an_hour_two_processes": 3600 * both["scans"] / both["seconds"],
        "our_scans_an_hour_steps_alone_one_core": 3600 / statistics.mean(seconds(row, "our") for row in rows),
    }
    if shared:
        plain = statistics.mean(seconds(row, "plain") for row in shared)
        found["plain_scans_an_hour"] = 3600 / plain
        found["scans_an_hour_ratio"] = found["our_scans_an_hour_two_processes"] / found["plain_scans_an_hour"]
        found["ratio_steps_alone"] = plain / statistics.mean(seconds(row, "our") for row in shared)
        found["ratio_bet_alone"] = statistics.mean(
            row["plain_bet"]["seconds"] / row["our_bet"]["seconds"] for row in shared
        )
        found["dice"] = min(row["dice"] for row in shared)
        found["median_abs_ln_ratio"] = max(row["median_abs_ln_ratio"] for row in shared)
        found["met"] = {
            name: found[name] <= target if name == "median_abs_ln_ratio" else found[name] >= target
            for name, target in TARGETS.items()
        }
    return found


def _write(kind: str, rows: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": {
            "processor": next(
                (line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor()
            ),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
        },
        "versions": {"python": sys.version.split()[0]}
        | {name: version(name) for name in ("brainextractor", "SimpleITK", "numpy", "scipy")},
        "scans": kind,
        "summary": summary,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
