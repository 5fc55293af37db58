"""Time of a training step: the joint network, the two networks that replace it, and other segmentation networks.

Run: python experiments/benchmarks/training_step.py [--size 64] [--batch 2] [--repeats 5] [--threads N] [--device cuda]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from circumstances import circumstances  # experiments/benchmarks/circumstances.py
from monai.losses import DiceLoss
from monai.networks.nets import AttentionUnet, DynUNet, SegResNet, SEResNet50, SwinUNETR
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from joint_seg_cls.batch import Batch
from joint_seg_cls.losses import JointLoss
from joint_seg_cls.networks import JointNetwork

RESULT = Path(__file__).parent / "results" / "training_step.json"
#: Widths of AttentionUnet's five levels: from the joint network's own base width, and from half of it.
LEVELS = {"attention_unet_32": (32, 64, 128, 256, 512), "attention_unet_16": (16, 32, 64, 128, 256)}
CLASSIFIER = "se_resnet50"
#: Segmentation networks at MONAI's or nnU-Net's widths.
PEERS: dict[str, Callable[[], nn.Module]] = {
    "swin_unetr_24": lambda: SwinUNETR(in_channels=1, out_channels=1, feature_size=24),
    "segresnet_32": lambda: SegResNet(out_channels=1, init_filters=32, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1)),
    "dynunet_32": lambda: DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=1,
        kernel_size=[3] * 5,
        strides=[1, 2, 2, 2, 2],
        upsample_kernel_size=[2] * 4,
        filters=[32, 64, 128, 256, 320],
    ),
}


def measure(size: int, batch: int, repeats: int, device: str) -> dict:
    """Return the median seconds of each network's step, measured alternately, and the ratios to the sums."""
    networks, loss_of = _networks(size, batch, device)
    optimizers = {name: torch.optim.Adam(network.parameters(), lr=1e-4) for name, network in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for repeat in range(repeats + 1):
        for name, optimizer in optimizers.items():
            taken = _step(optimizer, loss_of[name], device)
            if repeat:  # the first is a warm-up
                seconds[name].append(taken)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        "median_seconds": {name: round(taken, 4) for name, taken in median.items()},
        "all_seconds": {name: [round(each, 4) for each in taken] for name, taken in seconds.items()},
        "parameters": {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()},
        "joint_over_peer": {name: round(median["joint"] / median[name], 3) for name in PEERS},
        "joint_over_sum": {name: round(median["joint"] / (median[name] + median[CLASSIFIER]), 3) for name in LEVELS},
    }


def _networks(size: int, batch: int, device: str) -> tuple[dict[str, nn.Module], dict[str, Callable[[], Tensor]]]:
    torch.manual_seed(0)
    image = torch.randn(batch, 1, size, size, size, device=device)
    mask = (torch.rand_like(image) < 0.01).float()
    disease, known = torch.arange(batch, device=device) % 2, torch.ones(batch, dtype=torch.bool, device=device)
    labelled = Batch(image, mask, disease, known, known, [""] * batch)
    joint, joint_loss = JointNetwork(image_size=size).to(device), JointLoss()
    classifier = SEResNet50(spatial_dims=3, in_channels=1, num_classes=2).to(device)
    dice = DiceLoss(sigmoid=True)
    networks: dict[str, nn.Module] = {"joint": joint, CLASSIFIER: classifier}
    losses: dict[str, Callable[[], Tensor]] = {
        "joint": lambda: joint_loss(joint(image), labelled)["total"],
        CLASSIFIER: lambda: cross_entropy(classifier(image), disease),
    }
    segmenting: dict[str, nn.Module] = {
        name: AttentionUnet(spatial_dims=3, in_channels=1, out_channels=1, channels=widths, strides=(2, 2, 2, 2))
        for name, widths in LEVELS.items()
    }
    for name, network in (segmenting | {name: make() for name, make in PEERS.items()}).items():
        networks[name] = network.to(device)
        losses[name] = lambda network=networks[name]: dice(network(image), mask)
    return networks, losses


def _step(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure, print the ratios and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="voxels along a side")
    parser.add_argument("--batch", type=int, default=2, help="scans per step")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each network after a warm-up step")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for torch's default")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    result = {
        **circumstances("monai"),
        "size_voxels": options.size,
        "batch": options.batch,
        **measure(options.size, options.batch, options.repeats, options.device),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, seconds in result["median_seconds"].items():
        print(f"{name:20} {seconds:8.3f} s a step")
    for name, ratio in result["joint_over_sum"].items():
        print(f"joint / ({name} + {CLASSIFIER}): {ratio:.2f}")
    for name, ratio in result["joint_over_peer"].items():
        print(f"joint / {name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
