"""Instance norm that keeps the channels-last memory format on CPUs."""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from joint_seg_cls.networks.convolution import is_recorded

_SPACE = (2, 3, 4)


@final
class InstanceNorm(nn.InstanceNorm3d):
    """``torch.nn.InstanceNorm3d``, whose output keeps the memory format of its input on CPUs.

    torch returns a contiguous tensor, which the next convolution of a channels-last network copies back. Weights and
    results are those of ``torch.nn.InstanceNorm3d``, up to rounding.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Return the normalised features, (b, c, x, y, z)."""
        if not (_is_channels_last(input) and self.affine) or self.track_running_stats:
            return super().forward(input)
        return _ChannelsLastNorm.apply(input, self.weight, self.bias, self.eps)


def _is_channels_last(features: Tensor) -> bool:
    return (
        features.dim() == 5
        and features.device.type == "cpu"
        and features.dtype == torch.float32
        and features.shape[1] > 1
        and features.is_contiguous(memory_format=torch.channels_last_3d)
        and not is_recorded()
    )


@final
class _ChannelsLastNorm(Function):
    """Instance norm with elementwise operations and sums, which keep the memory format."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Float[Tensor, "b c x y z"],
        weight: Float[Tensor, " c"],
        bias: Float[Tensor, " c"],
        eps: float,
    ) -> Float[Tensor, "b c x y z"]:
        centred = features - features.mean(_SPACE, keepdim=True)
        inverse_sd = (centred.square().mean(_SPACE, keepdim=True) + eps).rsqrt()
        ctx.save_for_backward(centred, inverse_sd, weight)
        return torch.addcmul(bias.view(1, -1, 1, 1, 1), centred, inverse_sd * weight.view(1, -1, 1, 1, 1))

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Float[Tensor, "b c x y z"]
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        centred, inverse_sd, weight = ctx.saved_tensors
        voxels = centred[0, 0].numel()
        of_bias = gradient.sum(_SPACE, keepdim=True)
        of_weight = (gradient * centred).sum(_SPACE, keepdim=True) * inverse_sd
        scale = inverse_sd * weight.view(1, -1, 1, 1, 1)
        slope = -scale * inverse_sd * of_weight / voxels
        of_features = torch.addcmul(-scale * of_bias / voxels, centred, slope).addcmul_(gradient, scale)
        return of_features, of_weight.sum(0).flatten(), of_bias.sum(0).flatten(), None
