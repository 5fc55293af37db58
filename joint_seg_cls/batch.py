"""The two records shared by all stages: the input and the output of a network."""

from typing import Literal, NamedTuple, get_args

from jaxtyping import Bool, Float, Int64
from torch import Tensor

#: Images of a scan whose predictions are averaged: the scan itself, or the scan and its left-right mirror image.
Views = Literal["one", "flips"]
VIEWS: tuple[Views, ...] = get_args(Views)


class Batch(NamedTuple):
    """Scans with their labels. A missing label has a tensor of zeros and the flag False."""

    image: Float[Tensor, "b c x y z"]
    lesion_mask: Float[Tensor, "b 1 x y z"]
    disease: Int64[Tensor, " b"]
    has_lesion_mask: Bool[Tensor, " b"]
    has_disease: Bool[Tensor, " b"]
    case: list[str]


class Prediction(NamedTuple):
    """Output of a network for a batch. A field that a variant does not produce is ``None``.

    lesion_logits: lesion map before the sigmoid, [1] Eq. 5.
    scale_logits: the four maps of Eq. 5 before weighting, coarse to fine: 1/8, 1/4, 1/2 and 1 of the input grid.
    disease_logits: class scores before the softmax, Eq. 6.
    location_maps: the three maps of Eq. 10 for every class, linear, coarse to fine: 1/8, 1/4 and 1/2 of the input grid.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    lesion_logits: Float[Tensor, "b 1 x y z"] | None = None
    scale_logits: tuple[Float[Tensor, "b 1 _ _ _"], ...] | None = None
    disease_logits: Float[Tensor, "b classes"] | None = None
    location_maps: tuple[Float[Tensor, "b classes _ _ _"], ...] | None = None

    def lesion_probability(self) -> Float[Tensor, "b 1 x y z"] | None:
        """Return the lesion map in [0, 1], in float32; voxels at or above the threshold are lesions."""
        return None if self.lesion_logits is None else self.lesion_logits.float().sigmoid()

    def is_finite(self) -> bool:
        """Return whether no output is NaN or infinite."""
        fields = [field if isinstance(field, tuple) else (field,) for field in self if field is not None]
        return all(bool(tensor.isfinite().all()) for field in fields for tensor in field)


def scan_of(prediction: Prediction, batch: Batch, number: int) -> tuple[Prediction, Batch]:
    """Return the output for one scan of a batch and that scan, each as a batch of one."""
    one = slice(number, number + 1)

    def alone(value: Tensor | tuple[Tensor, ...] | None) -> Tensor | tuple[Tensor, ...] | None:
        return value[one] if isinstance(value, Tensor) else value and tuple(each[one] for each in value)

    own = Prediction(*(alone(value) for value in prediction))  # type: ignore[arg-type]
    return own, Batch(*(value[one] for value in batch))  # type: ignore[arg-type]
