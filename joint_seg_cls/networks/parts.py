"""What a part of the joint network must do, so that a configuration (or a user's own module) can supply it."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class SharedFeatures(NamedTuple):
    """What both tasks start from, on half the input's grid."""

    segmentation: Float[Tensor, "b c x y z"]
    classification: Float[Tensor, "b c x y z"]


class Segmented(NamedTuple):
    """What the segmentation says; the fields are those of ``batch.Prediction``."""

    lesion_logits: Float[Tensor, "b 1 x y z"] | None
    scale_logits: tuple[Float[Tensor, "b 1 _ _ _"], ...] | None


class Classified(NamedTuple):
    """What the classification says; the fields are those of ``batch.Prediction``."""

    disease_logits: Float[Tensor, "b classes"] | None
    location_maps: tuple[Float[Tensor, "b classes _ _ _"], ...] | None


class Part(nn.Module, ABC):
    """A part of the joint network; ``channels`` is the width it expects at its seam, ``None`` where any will do."""

    channels: int | None = None


class Sharing(Part, ABC):
    """From the image to the features that each task starts from, at half the image's grid."""

    @abstractmethod
    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the features of both tasks, (b, channels, x/2, y/2, z/2) each."""


class Segmentation(Part, ABC):
    """From the shared features to the lesion map on the image's grid; ``is_absent`` where it returns none.

    Where ``takes_image``, ``forward`` is given the image as its second argument.
    """

    is_absent: bool = False
    takes_image: bool = False

    @abstractmethod
    def forward(self, features: Float[Tensor, "b c x y z"]) -> Segmented:
        """Return the lesion logits, (b, 1, 2x, 2y, 2z), and the four maps they are the sum of."""


class Guidance(Part, ABC):
    """From the classification features and the lesion map to the features that are classified."""

    @abstractmethod
    def forward(
        self, features: Float[Tensor, "b c x y z"], lesion_probability: Float[Tensor, "b 1 X Y Z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return the guided features on the grid of ``features``."""


class Classification(Part, ABC):
    """From the guided features to the class scores and their maps; ``is_absent`` where it returns neither."""

    is_absent: bool = False

    @abstractmethod
    def forward(self, features: Float[Tensor, "b c x y z"]) -> Classified:
        """Return the class scores and the three location maps."""
