"""Wrappers that make single-task networks return a `Prediction` ([1], Tables 3 and 4).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks.input_size import check_modalities


@final
class SegmentationBaseline(nn.Module):
    """A network that only segments; its output is the lesion logits.

    Args:
        network: maps an image (b, in_channels, x, y, z) to logits (b, 1, x, y, z).

    Raises:
        ConfigError: in ``forward``, if the shape of the image or of the output differs from the above.
    """

    tasks = ("lesions",)

    def __init__(self, network: nn.Module, *, in_channels: int = 1) -> None:
        super().__init__()
        self.network = network
        self.in_channels = in_channels

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> Prediction:
        """Return the lesion logits; every other field is None."""
        check_modalities(image, self.in_channels)
        logits = self.network(image)
        _refuse_other_shape(logits, (len(image), 1, *image.shape[2:]), "a map of the image's size")
        return Prediction(lesion_logits=logits, scale_logits=None, disease_logits=None, location_maps=None)


@final
class ClassificationBaseline(nn.Module):
    """A network that only classifies; its output is the disease logits.

    Args:
        network: maps an image (b, in_channels, x, y, z) to logits (b, classes).

    Raises:
        ConfigError: in ``forward``, if the shape of the image or of the output differs from the above.
    """

    tasks = ("disease",)

    def __init__(self, network: nn.Module, *, in_channels: int = 1, classes: int = 2) -> None:
        super().__init__()
        self.network = network
        self.in_channels = in_channels
        self.classes = classes

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> Prediction:
        """Return the disease logits; every other field is None."""
        check_modalities(image, self.in_channels)
        logits = self.network(image)
        _refuse_other_shape(logits, (len(image), self.classes), "one score per class")
        return Prediction(lesion_logits=None, scale_logits=None, disease_logits=logits, location_maps=None)


def _refuse_other_shape(logits: Tensor, shape: tuple[int, ...], meaning: str) -> None:
    if tuple(logits.shape) != shape:
        raise ConfigError(
            "network",
            expected=f"{meaning}, {shape}",
            found=str(tuple(logits.shape)),
            remedy="correct the baseline's output channels",
        )
