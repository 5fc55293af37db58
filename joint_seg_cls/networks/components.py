"""Interfaces of the components of the joint network, for components from a configuration or a user's module."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class SharedFeatures(NamedTuple):
    """Features of both tasks, on half the input's grid."""

    segmentation: Float[Tensor, "b c x y z"]
    classification: Float[Tensor, "b c x y z"]


class Segmented(NamedTuple):
    """Output of the segmentation, with fields of ``batch.Prediction``."""

    lesion_logits: Float[Tensor, "b 1 x y z"] | None
    scale_logits: tuple[Float[Tensor, "b 1 _ _ _"], ...] | None


class Classified(NamedTuple):
    """Output of the classification, with fields of ``batch.Prediction``."""

    disease_logits: Float[Tensor, "b classes"] | None
    location_maps: tuple[Float[Tensor, "b classes _ _ _"], ...] | None


class Component(nn.Module, ABC):
    """A component of the joint network; ``channels`` is the width of its input, ``None`` for any width."""

    channels: int | None = None


class Sharing(Component, ABC):
    """Maps the image to the features of each task, on half the image's grid."""

    @abstractmethod
    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the features of both tasks, (b, channels, x/2, y/2, z/2) each."""


class Segmentation(Component, ABC):
    """Maps the shared features to the lesion map on the image's grid; ``is_absent`` if it returns none.

    With ``takes_image``, ``forward`` receives the image as its second argument.
    """

    is_absent: bool = False
    takes_image: bool = False

    @abstractmethod
    def forward(self, features: Float[Tensor, "b c x y z"]) -> Segmented:
        """Return the lesion logits, (b, 1, 2x, 2y, 2z), and the four maps of its weighted sum."""


class Guidance(Component, ABC):
    """Maps the classification features and the lesion map to guided features."""

    @abstractmethod
    def forward(
        self, features: Float[Tensor, "b c x y z"], lesion_probability: Float[Tensor, "b 1 X Y Z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return the guided features on the grid of ``features``."""


class Classification(Component, ABC):
    """Maps the guided features to class scores and location maps; ``is_absent`` if it returns none."""

    is_absent: bool = False

    @abstractmethod
    def forward(self, features: Float[Tensor, "b c x y z"]) -> Classified:
        """Return the class scores and the three location maps."""
