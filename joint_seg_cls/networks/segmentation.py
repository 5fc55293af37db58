"""Lesion segmentation: a U-Net whose output is a weighted sum over four scales ([1], section 3.2.3)."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks.blocks import conv3, conv_module
from joint_seg_cls.networks.components import Segmentation, Segmented
from joint_seg_cls.networks.convolution import Conv3d, UpConv

#: Weights of the maps of [1] Eq. 5, coarse to fine: at 1/8, 1/4, 1/2 and 1 of the image's grid.
SCALE_WEIGHTS = (0.25, 0.25, 0.5, 1.0)


@final
class SegmentationUNet(Segmentation):
    r"""Three encoding and three decoding modules, and a lesion map from every scale, [1] Eq. 5.

    .. math:: M_{lesion} = \sigma\Big(\sum_i \alpha_i \cdot Up(f_{1\times1}(f_{seg}^i))\Big)

    f_seg^i: features at 1/8, 1/4, 1/2 and 1 of the image's grid; f_1x1: 1x1x1 convolution to one channel; Up:
    nearest-neighbour upsampling to the image's grid; alpha: 0.25, 0.25, 0.5, 1. The sigmoid is not applied.
    Departs from [1]: widths and layers are not given. Widths are c, 2c, 4c in the encoder and c/2 on the image's grid,
    with c = ``channels``; a module is twice (3x3x3 convolution, instance norm, leaky ReLU); downsampling by strided,
    upsampling by transposed convolution. The bias of every f_1x1 starts at ``output_bias``, because lesions fill less
    than 1 % of a scan and soft Dice alone learns poorly from a probability of 0.5.

    Args:
        channels: width of the input features, even.
        output_bias: initial bias of each f_1x1.
        image_channels: modalities of the image, which replaces the second convolution on its grid; 0 as in [1]. See
            :class:`ImageSkip`.

    Raises:
        ConfigError: an odd width.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, channels: int = 32, output_bias: float | int = -4.0, image_channels: int = 0) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise ConfigError(
                "network.channels",
                expected="an even width, which the segmentation halves on the image's grid",
                found=str(channels),
                remedy="choose an even number such as 8, 16 or 32",
            )
        self.channels = channels
        half, full, double, quadruple = channels // 2, channels, channels * 2, channels * 4
        self.encode_half = conv_module(full, full)
        self.down_quarter = conv3(full, double, stride=2)
        self.encode_quarter = conv_module(double, double)
        self.down_eighth = conv3(double, quadruple, stride=2)
        self.encode_eighth = conv_module(quadruple, quadruple)
        self.up_quarter = UpConv(quadruple, double)
        self.decode_quarter = conv_module(2 * double, double)
        self.up_half = UpConv(double, full)
        self.decode_half = conv_module(2 * full, full)
        self.up_full = UpConv(full, half)
        self.takes_image = image_channels > 0
        self.decode_full = ImageSkip(half, image_channels) if image_channels else conv_module(half, half)
        self.outputs = nn.ModuleList(Conv3d(width, 1, kernel_size=1) for width in (quadruple, double, full, half))
        for output in self.outputs:
            nn.init.constant_(output.get_parameter("bias"), output_bias)

    def forward(
        self, features: Float[Tensor, "b c x y z"], image: Float[Tensor, "b modalities X Y Z"] | None = None
    ) -> Segmented:
        """Return the lesion logits on the doubled grid and the four maps of Eq. 5, coarse to fine."""
        skip_half = self.encode_half(features)
        skip_quarter = self.encode_quarter(self.down_quarter(skip_half))
        eighth = self.encode_eighth(self.down_eighth(skip_quarter))
        quarter = self.decode_quarter(torch.cat([self.up_quarter(eighth), skip_quarter], dim=1))
        half = self.decode_half(torch.cat([self.up_half(quarter), skip_half], dim=1))
        full = self.decode_full(self.up_full(half), *([] if image is None else [image]))
        scales = (eighth, quarter, half, full)
        scale_logits = tuple(output(scale) for output, scale in zip(self.outputs, scales, strict=True))
        return Segmented(combine_scales(scale_logits), scale_logits)


@final
class ImageSkip(nn.Module):
    r"""Features and image on one grid, joined by a convolution; not in [1].

    .. math:: f_{out} = LeakyReLU(Conv_{3\times3}(f) + Conv_{3\times3}(I))

    The finest encoder features of [1] have half the image's resolution; with the image, borders are as sharp as its
    voxels. There is no norm, so that the intensity relative to white matter reaches the lesion map.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, channels: int, image_channels: int) -> None:
        super().__init__()
        self.features = conv3(channels, channels, bias=True)
        self.image = conv3(image_channels, channels)
        self.act = nn.LeakyReLU(inplace=True)

    def forward(
        self, features: Float[Tensor, "b c x y z"], image: Float[Tensor, "b modalities x y z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return the joined features."""
        return self.act(self.features(features) + self.image(image))


@final
class NoSegmentation(Segmentation):
    """The segmentation of a model that only classifies ([1] Table 6, "only cls"): it returns no map."""

    is_absent = True

    def forward(self, features: Float[Tensor, "b c x y z"]) -> Segmented:
        """Return no map."""
        del features
        return Segmented(None, None)


def combine_scales(scale_logits: Sequence[Float[Tensor, "b 1 _ _ _"]]) -> Float[Tensor, "b 1 x y z"]:
    """Return the weighted sum of [1] Eq. 5 on the finest grid, before the sigmoid.

    Nearest-neighbour upsampling by two composes, so the sum is accumulated from scale to scale, each time upsampled by
    two only.

    Args:
        scale_logits: the four maps, coarse to fine, each grid twice as fine as the previous one.
    """
    total = SCALE_WEIGHTS[0] * scale_logits[0]
    for weight, logits in zip(SCALE_WEIGHTS[1:], scale_logits[1:], strict=True):
        total = functional.interpolate(total, scale_factor=2, mode="nearest") + weight * logits
    return total
