"""Location maps: contribution of each voxel to the class scores ([1], section 3.3.2)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from joint_seg_cls.networks.convolution import pointwise


def location_maps(
    features: Sequence[Float[Tensor, "b _ _ _ _"]], weight: Float[Tensor, "classes pooled"]
) -> tuple[Float[Tensor, "b classes _ _ _"], ...]:
    r"""Return the class activation map of every class at every scale, [1] Eq. 10.

    .. math:: V_i^c = \sum_k F_{i,k} \cdot w_{i,k}^c

    F_i: feature maps of block i; w_i^c: weights of the linear layer of Eq. 6 from their means to the
    score of class c. Hence the score of class c is its bias plus the sum over i of the mean of V_i^c.

    Args:
        features: the maps F_i of every block.
        weight: weight of the linear layer, with columns in the order of ``features``.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """
    weights = weight.split([maps.shape[1] for maps in features], dim=1)
    return tuple(pointwise(maps, part) for maps, part in zip(features, weights, strict=True))


def summed_map(
    maps: Sequence[Float[Tensor, "b classes _ _ _"]], shown_class: int, size: Sequence[int]
) -> Float[Tensor, "b x y z"]:
    r"""Return the contribution of each voxel to the score of one class, :math:`\sum_i V_i^c`, on one grid.

    The maps of all scales are resampled to ``size`` (trilinear) and added, without an activation.
    """
    chosen = [scale[:, shown_class : shown_class + 1].float() for scale in maps]
    grown = [functional.interpolate(scale, size=tuple(size), mode="trilinear", align_corners=False) for scale in chosen]
    return torch.stack(grown).sum(dim=0)[:, 0]
