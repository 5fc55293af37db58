"""How close a training step is to its own bare convolutions, and where the rest goes.

    python experiments/benchmarks/ceiling.py [--size 64] [--batch 2] [--channels 8] [--repeats 3] [--quick]

The ceiling: every convolution of the joint network, forward and backward, alone, on tensors of its own shape in the
network's memory format. Printed are the share of the step that these take, the operations a second of both, the
operators that take the rest (torch's profiler), and the time of the forward pass by module. Batches have two scans or
more, since torch computes a batch of one with other functions.
"""

import argparse
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import torch
from circumstances import circumstances, write  # experiments/benchmarks/circumstances.py
from joint_step import joint_step, seconds  # experiments/benchmarks/joint_step.py
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

#: A convolution: whether it is transposed and its input needs a gradient, shapes of input and weight, stride, padding,
#: groups.
Shape = tuple[bool, bool, tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], int]
_MOST_SHOWN = 12


def convolutions(network: nn.Module, run: Callable[[], object]) -> Counter[Shape]:
    """Return the convolutions of one forward pass, with how often each is computed."""
    found: Counter[Shape] = Counter()

    def note(module: nn.Module, arguments: tuple[Tensor, ...], _output: Tensor) -> None:
        assert isinstance(module, nn.Conv3d | nn.ConvTranspose3d)
        padding = module.padding if isinstance(module.padding, tuple) else (0, 0, 0)
        is_transposed = isinstance(module, nn.ConvTranspose3d)
        kind = is_transposed, arguments[0].requires_grad
        shapes = tuple(arguments[0].shape), tuple(module.weight.shape)
        found[*kind, *shapes, tuple(module.stride), tuple(padding), module.groups] += 1

    kinds = (nn.Conv3d, nn.ConvTranspose3d)
    hooks = [each.register_forward_hook(note) for each in network.modules() if isinstance(each, kinds)]
    run()
    for hook in hooks:
        hook.remove()
    return found


def bare(shape: Shape, repeats: int) -> tuple[float, float]:
    """Return the least seconds of one convolution, forward and backward, and its multiplications and additions."""
    is_transposed, needs_gradient, of_input, of_weight, stride, padding, groups = shape
    image = torch.randn(of_input).to(memory_format=torch.channels_last_3d).requires_grad_(needs_gradient)
    weight = torch.randn(of_weight).to(memory_format=torch.channels_last_3d).requires_grad_()
    convolve = functional.conv_transpose3d if is_transposed else functional.conv3d
    with torch.no_grad():
        output = convolve(image, weight, stride=stride, padding=padding, groups=groups)
    gradient = torch.randn_like(output)

    def run() -> None:
        convolve(image, weight, stride=stride, padding=padding, groups=groups).backward(gradient)

    voxels = math.prod(of_input[2:] if is_transposed else output.shape[2:]) * of_input[0]
    return seconds(run, repeats), (3 if needs_gradient else 2) * 2.0 * voxels * math.prod(of_weight)


def by_operator(run: Callable[[], object]) -> dict[str, float]:
    """Return the share of each operator in the time of ``run``, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        run()
    events = {event.key: event.self_cpu_time_total for event in record.key_averages()}
    whole = sum(events.values())
    largest = sorted(events, key=lambda key: -events[key])[:_MOST_SHOWN]
    return {key: round(events[key] / whole, 3) for key in largest}


def by_module(network: nn.Module, run: Callable[[], object]) -> dict[str, float]:
    """Return the share of each part of the network in the time of a forward pass; a part includes its own parts."""
    began: dict[str, float] = {}
    taken: defaultdict[str, float] = defaultdict(float)

    def begin(name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            began[name] = time.perf_counter()

        return note

    def end(name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            taken[name] += time.perf_counter() - began[name]

        return note

    parts = {name: part for name, part in network.named_modules() if name and name.count(".") <= 1}
    hooks = [part.register_forward_pre_hook(begin(name)) for name, part in parts.items()]
    hooks += [part.register_forward_hook(end(name)) for name, part in parts.items()]
    start = time.perf_counter()
    run()
    whole = time.perf_counter() - start
    for hook in hooks:
        hook.remove()
    return {name: round(taken[name] / whole, 3) for name in sorted(taken, key=lambda name: -taken[name])}


def measure(size: int, batch: int, channels: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of the step and of its bare convolutions, their ratio, and the two profiles."""
    step = joint_step(size, batch, channels=channels)
    step.train()
    shapes = convolutions(step.network, step.train)
    step_s = seconds(step.train, repeats)
    alone = {shape: bare(shape, repeats) for shape in shapes}
    ceiling_s = sum(count * alone[shape][0] for shape, count in shapes.items())
    operations = sum(count * alone[shape][1] for shape, count in shapes.items())
    return {
        "size": size,
        "batch": batch,
        "channels": channels,
        "step_seconds": round(step_s, 4),
        "convolutions": shapes.total(),
        "convolution_seconds": round(ceiling_s, 4),
        "share_of_ceiling": round(ceiling_s / step_s, 3),
        "gflops_step": round(operations / step_s / 1e9, 2),
        "gflops_ceiling": round(operations / ceiling_s / 1e9, 2),
        "by_operator": by_operator(step.train),
        "by_module_forward": by_module(step.network, step.predict),
    }


def main() -> None:
    """Measure, print, and write the result unless ``--quick``."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 64), ("batch", 2), ("channels", 8), ("repeats", 3)):
        words.add_argument(f"--{name}", type=int, default=default)
    words.add_argument("--quick", action="store_true", help="quick check: tiny, once, nothing written")
    asked = words.parse_args()
    began = circumstances()
    small = (32, 2, 4, 1)
    result = measure(*(small if asked.quick else (asked.size, asked.batch, asked.channels, asked.repeats)))
    print(
        f"step {result['step_seconds']:.3f} s, bare convolutions {result['convolution_seconds']:.3f} s: "
        f"{100 * result['share_of_ceiling']:.0f} % of the ceiling (target 70 %)"
    )
    for title in ("by_operator", "by_module_forward"):
        print(title, *(f"  {share:6.1%} {name}" for name, share in list(result[title].items())[:_MOST_SHOWN]), sep="\n")
    if not asked.quick:
        write("ceiling", began, result)


if __name__ == "__main__":
    main()
