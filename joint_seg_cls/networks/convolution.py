"""3-D convolution that uses oneDNN on CPUs for every batch size."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

#: Product of channels, depth and height up to which torch uses ``slow_conv3d`` for a batch of one (torch 2.13, a rule
#: for 2-D convolutions: ``use_mkldnn`` in aten/src/ATen/native/Convolution.cpp).
_SLOW_SIZE = 20_480


def memory_format(device: str | torch.device) -> torch.memory_format:
    """Return the memory format in which the networks are fastest: channels-last on CPUs.

    On GPUs, instance norm takes longer in that format (pytorch issue 59168).
    """
    return torch.channels_last_3d if torch.device(device).type == "cpu" else torch.contiguous_format


@final
class Conv3d(nn.Conv3d):
    """``torch.nn.Conv3d`` with zero padding; weights and results are the same, up to rounding.

    On CPUs, torch computes small inputs of a batch of one, and 1x1x1 kernels, with ``slow_conv3d``, which takes 2 to 23
    times as long as oneDNN. Here, a 1x1x1 convolution is a matrix product over the channels, which also keeps the
    channels-last memory format. A batch of one uses oneDNN directly in inference; in training, whose backward pass has
    no such function, it is computed twice as a batch of two.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        if input.device.type != "cpu" or self.groups > 1 or isinstance(self.padding, str) or is_recorded():
            return super()._conv_forward(input, weight, bias)
        if self.kernel_size == (1, 1, 1) and self.padding == (0, 0, 0):
            return pointwise(input, weight, bias, self.stride)
        if input.dtype != torch.float32 or not _is_slow(input, self.kernel_size):
            return super()._conv_forward(input, weight, bias)
        if torch.is_grad_enabled():
            return super()._conv_forward(torch.cat([input, input]), weight, bias)[:1]
        return torch.mkldnn_convolution(input, weight, bias, self.padding, self.stride, self.dilation, 1)


@final
class UpConv(nn.ConvTranspose3d):
    """``torch.nn.ConvTranspose3d`` of kernel 2 and stride 2 without bias; weights and results are the same.

    The output blocks do not overlap, so on CPUs it is computed as a matrix product; torch uses
    ``slow_conv_transpose3d`` for a batch of one.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2, bias=False)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002
        """Return the features on a grid twice as fine, (b, out_channels, 2x, 2y, 2z)."""
        if input.device.type != "cpu" or len(input) > 1 or output_size is not None or is_recorded():
            return super().forward(input, output_size)
        b, _, x, y, z = input.shape
        blocks = functional.linear(input.permute(0, 2, 3, 4, 1), self.weight.permute(2, 3, 4, 1, 0).flatten(0, 3))
        blocks = blocks.view(b, x, y, z, 2, 2, 2, self.out_channels).permute(0, 1, 4, 2, 5, 3, 6, 7)
        return blocks.reshape(b, 2 * x, 2 * y, 2 * z, self.out_channels).permute(0, 4, 1, 2, 3)


def is_recorded() -> bool:
    """Whether torch is tracing or compiling; then its own operations are used, which exporters support."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def _is_slow(image: Tensor, kernel: tuple[int, ...]) -> bool:
    batch, channels, depth, height, _ = image.shape
    return batch == 1 and channels * depth * height <= _SLOW_SIZE and max(kernel[-2:]) <= 3


def pointwise(
    features: Float[Tensor, "b c x y z"],
    weight: Float[Tensor, "d c *one"],
    bias: Float[Tensor, " d"] | None = None,
    stride: tuple[int, ...] = (1, 1, 1),
) -> Float[Tensor, "b d x_ y_ z_"]:
    """Return a 1x1x1 convolution as a matrix product over the channels."""
    x, y, z = stride
    channels_last = features[:, :, ::x, ::y, ::z].permute(0, 2, 3, 4, 1)
    return functional.linear(channels_last, weight.flatten(1), bias).permute(0, 4, 1, 2, 3)
