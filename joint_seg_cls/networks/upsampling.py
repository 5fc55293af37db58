"""Linear interpolation with deterministic gradients, as three small matrix products."""

import torch
from jaxtyping import Float
from torch import Tensor


def upsample_linear(volume: Float[Tensor, "b c x y z"], size: tuple[int, int, int]) -> Float[Tensor, "b c x_ y_ z_"]:
    """Return ``volume`` on a grid of ``size`` over the same field of view, trilinearly interpolated.

    Equals ``torch.nn.functional.interpolate(mode="trilinear", align_corners=False)``, whose gradient on CUDA is not
    deterministic; matrix products along each axis are.
    """
    for axis, length in enumerate(size, start=2):
        weights = _interpolation(volume.shape[axis], length, volume)
        volume = (volume.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return volume.contiguous()


def _interpolation(source: int, target: int, like: Tensor) -> Float[Tensor, "target source"]:
    """Return the weights of linear interpolation between voxel centres; the edge value is used beyond them."""
    exact = torch.promote_types(like.dtype, torch.float32)
    centres = (torch.arange(target, device=like.device, dtype=exact) + 0.5) * (source / target) - 0.5
    distance = (centres.clamp(0, source - 1)[:, None] - torch.arange(source, device=like.device)).abs()
    return (1 - distance).clamp(min=0).to(like.dtype)
