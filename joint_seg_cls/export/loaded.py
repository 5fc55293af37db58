"""The network of a bundle, loaded from its programs of ``torch.export``, one for each size of image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ScanError

#: Names of the maps of :attr:`Prediction.location_maps`, coarse to fine, begin with this.
_LOCATION = "location_maps_"
#: Images that a program takes at once, because torch sends a batch of one to a slower convolution on CPUs.
BATCH = 2


def named_outputs(prediction: Prediction) -> dict[str, Tensor]:
    """Return the tensors of a prediction that are exported, by name: all but the maps of the single scales."""
    maps = prediction.location_maps or ()
    named = {
        "lesion_logits": prediction.lesion_logits,
        "disease_logits": prediction.disease_logits,
        **{f"{_LOCATION}{number}": each for number, each in enumerate(maps)},
    }
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def prediction_of(outputs: Mapping[str, Tensor]) -> Prediction:
    """Return the prediction with these tensors; the inverse of :func:`named_outputs`."""
    maps = tuple(outputs[name] for name in sorted(outputs) if name.startswith(_LOCATION))
    return Prediction(
        lesion_logits=outputs.get("lesion_logits"),
        disease_logits=outputs.get("disease_logits"),
        location_maps=maps or None,
    )


@final
class LoadedNetwork(nn.Module):
    """The network of a bundle; it takes a batch of any length and returns a :class:`Prediction`.

    Args:
        programs: for each program its ``file``, the ``size`` of its image in voxels and the names of its ``outputs``.
    """

    def __init__(
        self, folder: str | Path, programs: Sequence[Mapping[str, Any]], device: str | torch.device = "cpu"
    ) -> None:
        super().__init__()
        # a mapping, not submodules, since an exported program refuses eval()
        self._programs = {
            tuple(each["size"]): (_program(Path(folder) / each["file"], device), list(each["outputs"]))
            for each in programs
        }
        names = {name for _, outputs in self._programs.values() for name in outputs}
        heads = {"lesion_logits": "lesions", "disease_logits": "disease"}
        self.tasks = tuple(task for name, task in heads.items() if name in names)

    def forward(self, image: Float[Tensor, "b c x y z"]) -> Prediction:
        """Return the outputs for each image of the batch.

        Raises:
            ScanError: the image has another size than the programs.
        """
        size = tuple(image.shape[2:])
        if size not in self._programs:
            sizes = " or ".join("x".join(map(str, each)) for each in self._programs)
            raise ScanError(
                "image",
                expected=f"{sizes} voxels, the fixed size of the exported network",
                found="x".join(map(str, size)),
                remedy="prepare the scan with the preprocessing of this bundle",
            )
        program, names = self._programs[size]
        filled = torch.cat([image, image[-1:]]) if len(image) % BATCH else image
        found = [program(pair) for pair in filled.split(BATCH)]
        joined = [torch.cat(parts)[: len(image)] for parts in zip(*found, strict=True)]
        return prediction_of(dict(zip(names, joined, strict=True)))


@final
class MainOutput(nn.Module):
    """The first output of a network as one tensor, which MONAI's ``verify_net_in_out`` needs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "b c x y z"]) -> Tensor:
        """Return the lesion logits, or the disease logits of a network that only classifies."""
        return next(iter(named_outputs(self.network(image)).values()))


def _program(file: Path, device: str | torch.device) -> Any:
    program = torch.export.load(file)
    if torch.device(device).type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return program.module()
