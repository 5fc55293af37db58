"""Disease classification: three residual blocks, pooled at every scale ([1], section 3.2.4)."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks.blocks import conv3, conv_norm_act
from joint_seg_cls.networks.components import Classification, Classified
from joint_seg_cls.networks.convolution import Conv3d
from joint_seg_cls.networks.location_maps import location_maps
from joint_seg_cls.networks.norm import InstanceNorm

#: Stride of each residual block: 1/2, 1/4 and 1/8 of the image's grid.
BLOCK_STRIDES = (1, 2, 2)


@final
class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with instance norm in parallel to a 1x1x1 convolution, followed by leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_norm_act(in_channels, out_channels, stride=stride),
            conv3(out_channels, out_channels),
            InstanceNorm(out_channels, affine=True),
        )
        self.skip = Conv3d(in_channels, out_channels, kernel_size=1, stride=stride)
        self.act = nn.LeakyReLU(inplace=True)

    def forward(self, features: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b d x_ y_ z_"]:
        """Return the block's feature maps."""
        return self.act(self.body(features) + self.skip(features))


@final
class ResidualClassifier(Classification):
    r"""Class scores from the means of the feature maps of three residual blocks, [1] Eq. 6 and 10.

    .. math:: p = softmax\Big(b + \sum_i \sum_k w_{i,k} \cdot mean(F_{i,k})\Big)

    F_{i,k}: map k of block i; w, b: one linear layer on all means. The softmax is not applied.
    Departs from [1]: layers and strides of the blocks are not given. Widths are 2c, 4c, 8c with c = ``channels``
    (64, 128, 256 as printed); the grids are 1/2, 1/4, 1/8 of the image's, since Eq. 11 compares each block with the
    lesion map of the same size; a block is two 3x3x3 convolutions with instance norm, leaky ReLU, and a 1x1x1
    convolution on the skip.

    Args:
        channels: width of the input features.
        classes: number of diseases.

    Raises:
        ConfigError: fewer than two classes.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, channels: int = 32, classes: int = 2) -> None:
        super().__init__()
        if classes < 2:
            raise ConfigError(
                "network.classes",
                expected="at least two diseases",
                found=str(classes),
                remedy="set network.classes to their number, or use ablation=only_seg",
            )
        self.channels = channels
        widths = (channels, 2 * channels, 4 * channels, 8 * channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(width, wider, stride)
            for width, wider, stride in zip(widths[:-1], widths[1:], BLOCK_STRIDES, strict=True)
        )
        self.score = nn.Linear(sum(widths[1:]), classes)

    def forward(self, features: Float[Tensor, "b c x y z"]) -> Classified:
        """Return the class scores and the location maps, coarse to fine."""
        maps = []
        for block in self.blocks:
            features = block(features)
            maps.append(features)
        pooled = torch.cat([each.mean((2, 3, 4)) for each in maps], dim=1)
        return Classified(self.score(pooled), location_maps(maps, self.score.weight)[::-1])


@final
class NoClassification(Classification):
    """The classification of a model that only segments ([1] Table 5, "only seg"): it returns no scores."""

    is_absent = True

    def forward(self, features: Float[Tensor, "b c x y z"]) -> Classified:
        """Return no scores."""
        del features
        return Classified(None, None)
