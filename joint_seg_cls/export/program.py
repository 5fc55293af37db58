"""A network as programs of ``torch.export``: fixed sizes, no Python, no names of files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.errors import CheckpointError, ConfigError
from joint_seg_cls.export.loaded import BATCH, LoadedNetwork, named_outputs
from joint_seg_cls.networks import TASKS, declared_tasks

#: Largest difference between an output and the network's, relative to the network's largest absolute value (or 1).
TOLERANCE = 1e-4
#: What torch keeps of a node's origin: lines of source code and paths of files.
_ORIGIN = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn")


@final
@dataclass(frozen=True)
class ExportedPart:
    """One program: the network for one size of image.

    Args:
        name: of its file, without the ending.
        size: voxels of the image.
    """

    name: str
    size: tuple[int, int, int]
    outputs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the bundle's configuration."""
        return {"file": f"{self.name}.pt2", "size": list(self.size), "outputs": list(self.outputs)}


@final
class Outputs(nn.Module):
    """A network whose output is a tuple of named tensors, as :func:`named_outputs` orders them."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = tuple(names)

    def forward(self, image: Float[Tensor, "b c x y z"]) -> tuple[Tensor, ...]:
        """Return the named outputs."""
        found = named_outputs(self.network(image))
        return tuple(found[name] for name in self.names)


def parts_of(
    network: nn.Module, channels: int, size: tuple[int, int, int], window: tuple[int, int, int] | None
) -> list[ExportedPart]:
    """Return the programs that prediction with this network needs.

    Without a window one program maps the whole image to all outputs. With a window the lesions come from patches, and
    a network that also classifies needs a second program for the whole image.

    Args:
        network: in evaluation mode.
        channels: modalities of the image.
        size: voxels of the prepared image.
        window: voxels of a patch.
    """
    with torch.inference_mode():
        probe = (1, channels, *size) if window is None else (1, channels, *_within(window, size))
        names = tuple(named_outputs(network(torch.zeros(probe))))
    if window is None:
        return [ExportedPart("model", size, names)]
    tasks = declared_tasks(network) or TASKS
    patch = _within(window, size)
    lesions = [ExportedPart("model", patch, ("lesion_logits",))] if "lesions" in tasks else []
    others = tuple(name for name in names if name != "lesion_logits")
    if not others or not lesions:
        return lesions or [ExportedPart("model", size, names)]
    if patch == size:
        return [ExportedPart("model", size, names)]
    return [*lesions, ExportedPart("model_whole", size, others)]


def write_program(network: nn.Module, part: ExportedPart, channels: int, folder: Path) -> None:
    """Write one program, for batches of :data:`~joint_seg_cls.export.loaded.BATCH` images, to ``folder``.

    Raises:
        ConfigError: as :func:`exported`.
    """
    program = exported(network, part, channels, batch=BATCH)
    remove_origin(program)
    torch.export.save(program, folder / f"{part.name}.pt2")


def exported(network: nn.Module, part: ExportedPart, channels: int, *, batch: int) -> torch.export.ExportedProgram:
    """Return one program of fixed size, for batches of ``batch`` images.

    Raises:
        ConfigError: torch cannot export the network; the message has torch's reason, which names the operation.
    """
    example = torch.zeros(batch, channels, *part.size)
    wrapped = Outputs(network, part.outputs).eval()
    try:
        with torch.no_grad():
            return torch.export.export(wrapped, (example,), strict=False)
    except Exception as error:  # torch and the network raise errors of any type
        raise not_exportable(network, error) from error


def not_exportable(network: nn.Module, error: BaseException) -> ConfigError:
    """Return the refusal of a network that torch cannot export."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ConfigError(
        f"network {type(network).__name__}",
        expected="a forward pass of torch operations on tensors, without Python that depends on their values",
        found=f"{type(error).__name__}: {reason[:300].rstrip('.')}",
        remedy="rewrite that operation (torch.where instead of if, no .item() and no .numpy()), or keep to jsc predict",
    )


def remove_origin(program: torch.export.ExportedProgram) -> None:
    """Remove the lines of source code and paths of files that torch records, and the example image."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for key in _ORIGIN:
                    node.meta.pop(key, None)
                node.stack_trace = None
    program._example_inputs = None  # noqa: SLF001 - torch has no public way to leave it out


def check_programs(network: nn.Module, folder: Path, parts: Sequence[ExportedPart], channels: int) -> dict[str, float]:
    """Return the largest difference between each written output and the network's, relative to the latter's largest.

    The image is normal noise inside a ball and 0 outside, from a fixed seed.

    Raises:
        CheckpointError: a difference above :data:`TOLERANCE`.
    """
    loaded = LoadedNetwork(folder, [part.to_json() for part in parts])
    found: dict[str, float] = {}
    with torch.inference_mode():
        for part in parts:
            image = noise_ball(channels, part.size)
            expected, own = named_outputs(network(image)), named_outputs(loaded(image))
            found |= differences({name: expected[name] for name in part.outputs}, own)
    refuse_different(found, TOLERANCE, folder.name)
    return found


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the largest absolute difference of each output, divided by the largest expected value, or by 1 if less."""
    return {
        name: float((found[name] - value).abs().max() / max(float(value.abs().max()), 1.0))
        for name, value in expected.items()
    }


def refuse_different(found: Mapping[str, float], tolerance: float, where: str) -> None:
    """Refuse outputs that are not the network's.

    Raises:
        CheckpointError: a difference above ``tolerance``, or NaN.
    """
    worst = max(found, key=lambda name: found[name])
    if not all(value <= tolerance for value in found.values()):
        raise CheckpointError(
            where,
            expected=f"the outputs of the network within {tolerance:g}",
            found=f"{worst} that differs by {found[worst]:.2g}",
            remedy="report it with the versions of torch and onnxruntime; nothing was written",
        )


def noise_ball(channels: int, size: Sequence[int]) -> Float[Tensor, "1 c x y z"]:
    """Return an image for the comparison: normal noise inside a ball, 0 outside."""
    noise = torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(0))
    axes = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    return noise * (torch.stack(axes).square().sum(0) < 0.9)


def _within(window: Sequence[int], size: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (min(side, whole) for side, whole in zip(window, size, strict=True))
    return x, y, z
