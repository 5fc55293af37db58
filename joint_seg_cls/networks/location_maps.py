"""Lesion location maps: where the class scores come from ([1], section 3.3.2)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def location_maps(
    features: Sequence[Float[Tensor, "b _ _ _ _"]], weight: Float[Tensor, "classes pooled"]
) -> tuple[Float[Tensor, "b classes _ _ _"], ...]:
    r"""Return the class activation map of every class at every scale, [1] Eq. 10.

    .. math:: V_i^c = \sum_k F_{i,k} \cdot w_{i,k}^c

    F_i: feature maps of block i; w_i^c: the weights by which the linear layer of Eq. 6 turns their means into the
    score of class c. Hence the score of class c is its bias plus the sum over i of the mean of V_i^c.

    Args:
        features: the maps F_i of every block.
        weight: the linear layer's weight, its columns in the order of ``features``.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """
    weights = weight.split([maps.shape[1] for maps in features], dim=1)
    return tuple(
        functional.conv3d(maps, part[:, :, None, None, None]) for maps, part in zip(features, weights, strict=True)
    )
