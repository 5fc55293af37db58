"""The building block of the network: convolution, instance norm, leaky ReLU."""

from torch import nn

from joint_seg_cls.networks.convolution import Conv3d
from joint_seg_cls.networks.norm import InstanceNorm


def conv3(in_channels: int, out_channels: int, *, stride: int = 1, bias: bool = False) -> Conv3d:
    """Return a 3x3x3 convolution that keeps the grid, or halves it with stride 2.

    Before an instance norm the bias is omitted, because the norm removes constants.
    """
    return Conv3d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=bias)


def conv_norm_act(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    """Return (3x3x3 convolution, instance norm with scale and shift, leaky ReLU)."""
    return nn.Sequential(
        conv3(in_channels, out_channels, stride=stride),
        InstanceNorm(out_channels, affine=True),
        nn.LeakyReLU(inplace=True),
    )


def conv_module(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return one encoding or decoding module: twice (convolution, instance norm, leaky ReLU)."""
    return nn.Sequential(conv_norm_act(in_channels, out_channels), conv_norm_act(out_channels, out_channels))
