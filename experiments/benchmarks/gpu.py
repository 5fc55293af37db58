"""The training step on a GPU: which precision, memory format and compilation is fastest and still correct.

    python experiments/benchmarks/gpu.py [--size 160] [--batch 2] [--minutes 8.5] [--quick]

Measured for each of {float32, float32 with TF32, bfloat16} x {contiguous, channels-last} x {eager, compiled, compiled
with CUDA graphs}: seconds a step, peak memory, seconds to compile, and the difference of loss and gradients from
float64 on the CPU at a small size. What would exceed the time is left out and named. The fastest combination whose
gradients are within the tolerance then trains on simulated scans that stay on the device, with the share of time that
the GPU is idle between steps. Without a GPU, the eager combinations run on the CPU at a tiny size: a check of the
script, whose numbers say nothing about a GPU.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from circumstances import circumstances, write  # experiments/benchmarks/circumstances.py
from torch import Tensor

from joint_seg_cls.batch import Batch
from joint_seg_cls.losses import JointLoss
from joint_seg_cls.networks import JointNetwork

#: Targets on an H100 or H200: speed-up over float32 eager, ms a step, GiB, share of idle time.
TARGETS = {"speed_up": 4.0, "step_ms": 60.0, "peak_gib": 12.0, "idle": 0.05}
#: Largest relative difference of the gradients from float64, by precision.
TOLERANCE = {"float32": 1e-3, "tf32": 2e-2, "bfloat16": 1e-1}
_SMALL = 32
MODES = {"eager": None, "compiled": "default", "graphs": "reduce-overhead"}


class Setting(NamedTuple):
    """One combination."""

    precision: str
    layout: str
    mode: str


class Work(NamedTuple):
    """Sizes of the measurement."""

    size: int
    batch: int
    channels: int
    steps: int
    fold_steps: int


def settings(device: str) -> list[Setting]:
    """Return the combinations, those without compilation first."""
    modes = [mode for mode in MODES if mode != "graphs" or device == "cuda"]
    precisions = [name for name in TOLERANCE if name != "tf32" or device == "cuda"]
    found = [Setting(*each) for each in itertools.product(precisions, ("contiguous", "channels_last"), modes)]
    return sorted(found, key=lambda setting: list(MODES).index(setting.mode))


def simulated(size: int, batch: int, device: str, seed: int = 0) -> Batch:
    """Return scans of noise with bright balls as lesions, more of them in the second class."""
    random = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, 1, size, size, size, generator=random) * 0.1
    disease = torch.arange(batch) % 2
    axes = torch.meshgrid(*[torch.arange(size, dtype=torch.float32)] * 3, indexing="ij")
    mask = torch.zeros_like(image)
    for scan in range(batch):
        for centre in torch.rand(2 + 4 * int(disease[scan]), 3, generator=random) * size:
            distance = sum((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True))
            mask[scan, 0][distance < (size / 16) ** 2] = 1
    known = torch.ones(batch, dtype=torch.bool)
    parts = (each.to(device) for each in (image + mask, mask, disease, known))
    image, mask, disease, known = parts
    return Batch(image, mask, disease, known, known, [""] * batch)


def training(setting: Setting, size: int, channels: int, device: str) -> tuple[Any, Callable[[Batch], Tensor]]:
    """Return the network and its training step, which returns the loss and leaves the gradients."""
    torch.manual_seed(0)
    network: Any = JointNetwork(channels=channels, image_size=size)
    layout = torch.channels_last_3d if setting.layout == "channels_last" else torch.contiguous_format
    network.to(device=device, memory_format=layout)
    loss, optimizer = JointLoss(), torch.optim.Adam(network.parameters(), lr=1e-4, fused=device == "cuda")
    mode = MODES[setting.mode]
    forward = network if mode is None else torch.compile(network, mode=mode, dynamic=False)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = setting.precision == "tf32"

    def step(batch: Batch) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        half = torch.autocast(device, torch.bfloat16) if setting.precision == "bfloat16" else nullcontext()
        with half:
            prediction = forward(batch.image.to(memory_format=layout))
        total: Tensor = loss(prediction, batch)["total"]
        total.backward()
        optimizer.step()
        return total.detach()

    return network, step


def error(setting: Setting, device: str, channels: int) -> float:
    """Return the largest difference of loss and gradients from float64, relative to the norm of the gradients."""
    batch = simulated(_SMALL, 2, "cpu")
    torch.manual_seed(0)
    reference: Any = JointNetwork(channels=channels, image_size=_SMALL).double()
    labelled = batch._replace(lesion_mask=batch.lesion_mask.double())
    exact: Tensor = JointLoss()(reference(batch.image.double()), labelled)["total"]
    exact.backward()
    network, step = training(setting, _SMALL, channels, device)
    found = step(simulated(_SMALL, 2, device))
    gradients = [(p.grad, q.grad) for p, q in zip(network.parameters(), reference.parameters(), strict=True)]
    pairs = [(p.cpu().double(), q) for p, q in gradients if p is not None and q is not None]
    norm = torch.stack([q.square().sum() for _, q in pairs]).sum().sqrt()
    apart = torch.stack([(p - q).square().sum() for p, q in pairs]).sum().sqrt() / norm
    return max(float(apart), abs(float(found) - float(exact)) / abs(float(exact)))


def timed(setting: Setting, work: Work, device: str) -> dict[str, float]:
    """Return ms a step, peak GiB, and the seconds of the first step, which compiles."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    _, step = training(setting, work.size, work.channels, device)
    batch = simulated(work.size, work.batch, device)
    start = time.perf_counter()
    step(batch)
    _wait(device)
    first = time.perf_counter() - start
    step(batch)  # CUDA graphs are recorded
    _wait(device)
    start = time.perf_counter()
    for _ in range(work.steps):
        step(batch)
    _wait(device)
    taken = (time.perf_counter() - start) / work.steps
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else float("nan")
    return {"step_ms": 1e3 * taken, "peak_gib": peak, "first_step_s": first}


def fold(setting: Setting, work: Work, device: str) -> dict[str, float]:
    """Train on simulated scans that stay on the device; return losses, and the time between steps that it is idle."""
    _, step = training(setting, work.size, work.channels, device)
    scans = [simulated(work.size, work.batch, device, seed) for seed in range(4)]
    first = float(step(scans[0]))
    step(scans[0])
    _wait(device)
    start = time.perf_counter()
    losses = [step(scans[number % len(scans)]) for number in range(work.fold_steps)]
    _wait(device)
    whole = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(work.steps):
        step(scans[0])
    _wait(device)
    busy = (time.perf_counter() - start) / work.steps * work.fold_steps
    last = float(torch.stack(losses[-4:]).mean())
    return {"first_loss": first, "last_loss": last, "seconds": whole, "idle": max(0.0, 1 - busy / whole)}


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(work: Work, device: str, minutes: float) -> dict[str, Any]:
    """Return one row per combination, the fastest correct one, and its training; stop near the time limit."""
    end = time.monotonic() + 60 * minutes
    rows: list[dict[str, Any]] = []
    longest = 0.0
    for setting in settings(device):
        row: dict[str, Any] = setting._asdict()
        start = time.monotonic()
        if start + 1.5 * longest > end - 60:
            rows.append(row | {"left_out": "no time left"})
            continue
        try:
            row |= {"error": error(setting, device, work.channels), **timed(setting, work, device)}
        except Exception as failed:  # noqa: BLE001 - a combination that this GPU or torch lacks must not end the rest
            row |= {"left_out": f"{type(failed).__name__}: {str(failed).splitlines()[0][:200] if str(failed) else ''}"}
        torch.compiler.reset()
        longest = max(longest, time.monotonic() - start)
        rows.append(row)
        print(row, flush=True)
    return {"rows": rows} | _best(rows, work, device)


def _best(rows: list[dict[str, Any]], work: Work, device: str) -> dict[str, Any]:
    right = [row for row in rows if "step_ms" in row and row["error"] <= TOLERANCE[row["precision"]]]
    if not right:
        return {"best": None}
    best = min(right, key=lambda row: row["step_ms"])
    plain = next((row for row in right if (row["precision"], row["mode"]) == ("float32", "eager")), None)
    trained = fold(Setting(best["precision"], best["layout"], best["mode"]), work, device)
    speed_up = None if plain is None else plain["step_ms"] / best["step_ms"]
    return {"best": best, "speed_up": speed_up, "fold": trained, "targets": TARGETS}


def main() -> None:
    """Measure, print, and write the result if there is a GPU and not ``--quick``."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--size", type=int, default=160)
    words.add_argument("--batch", type=int, default=2)
    words.add_argument("--channels", type=int, default=32)
    words.add_argument("--minutes", type=float, default=8.5)
    words.add_argument("--quick", action="store_true", help="quick check: tiny, eager only on a CPU, nothing written")
    asked = words.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    is_small = asked.quick or device == "cpu"
    work = Work(32, 2, 4, 2, 4) if is_small else Work(asked.size, asked.batch, asked.channels, 10, 100)
    began = circumstances("monai") | {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    if is_small:
        for mode in ("compiled", "graphs"):  # compiling takes minutes, and its speed on a CPU says nothing
            MODES.pop(mode, None)
    result = measure(work, device, asked.minutes)
    print({key: value for key, value in result.items() if key != "rows"})
    if not is_small:
        write("gpu", began, result | {"work": work._asdict()})


if __name__ == "__main__":
    main()
