"""A training step of the joint network on noise, as several benchmarks measure it. Run alone, it times one."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from joint_seg_cls.batch import Batch
from joint_seg_cls.losses import JointLoss
from joint_seg_cls.networks import JointNetwork, memory_format


class JointStep(NamedTuple):
    """The network, a training step, and a prediction."""

    network: nn.Module
    train: Callable[[], None]
    predict: Callable[[], None]


def joint_step(
    size: int,
    batch: int,
    device: str = "cpu",
    *,
    channels: int = 8,
    classes: int = 2,
    in_channels: int = 1,
) -> JointStep:
    """Return the parts of a step, in the memory format that a training uses on this device."""
    torch.manual_seed(0)
    network: Any = JointNetwork(channels=channels, image_size=size, classes=classes, in_channels=in_channels)
    network.to(device=device, memory_format=memory_format(device))
    loss, optimizer = JointLoss(), torch.optim.Adam(network.parameters(), lr=1e-4)
    image = torch.randn(batch, in_channels, size, size, size, device=device)
    known = torch.ones(batch, dtype=torch.bool, device=device)
    disease = torch.zeros(batch, dtype=torch.int64, device=device)
    labelled = Batch(image, (image[:, :1] > 3).float(), disease, known, known, [""] * batch)

    def train() -> None:
        optimizer.zero_grad()
        total: Tensor = loss(network(image), labelled)["total"]
        total.backward()
        optimizer.step()

    def predict() -> None:
        with torch.inference_mode():
            network(image)

    return JointStep(network, train, predict)


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the least seconds of a call, after one that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


if __name__ == "__main__":
    print(f"joint network, width 8, 64^3, batch 2: {seconds(joint_step(64, 2).train, 3):.2f} s a step")
