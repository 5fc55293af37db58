"""Lesion guidance: the lesion map guides the disease classifier ([1], section 3.3.1 and Table 8)."""

from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.errors import require_choice
from joint_seg_cls.networks.blocks import conv3
from joint_seg_cls.networks.components import Guidance
from joint_seg_cls.networks.convolution import Conv3d

AttentionKind = Literal["sigmoid", "softmax"]
Start = Literal["random", "lesions"]

#: With ``start="lesions"``, f_P counts the lesion voxels in its kernel, half a unit each, from -2: its sigmoid is 0.12
#: without lesions, 0.5 at four of the 27 voxels, and near 1 inside a lesion.
LESION_WEIGHT, LESION_BIAS = 0.5, -2.0


@final
class LesionProjection(nn.Module):
    """P' = f_P(P): the lesion probability through a 3x3x3 convolution of stride 2, onto the classifier's grid.

    Departs from [1], which does not define whether gradients of the classification reach the segmentation through P
    (they do, unless ``detach``), nor the initialisation of f_P. Lesions fill so little of a scan that P' hardly varies
    under ``random`` weights, and the classifier reads the whole brain until they have grown; with ``lesions``, f_P
    starts as a count of nearby lesion voxels (see ``LESION_WEIGHT``), so that gates open on lesions from the first
    step.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, detach: bool = False, start: Start = "random") -> None:
        super().__init__()
        self.detach = detach
        self.convolution = conv3(1, 1, stride=2, bias=True)
        require_choice("network.guidance.start", start, Start)
        if start == "lesions":
            nn.init.constant_(self.convolution.weight, LESION_WEIGHT)
            nn.init.constant_(self.convolution.get_parameter("bias"), LESION_BIAS)

    def forward(self, lesion_probability: Float[Tensor, "b 1 x y z"]) -> Float[Tensor, "b 1 x//2 y//2 z//2"]:
        """Return P', one channel on half the grid."""
        return self.convolution(lesion_probability.detach() if self.detach else lesion_probability)


def attention(projected: Float[Tensor, "b 1 x y z"], kind: AttentionKind = "sigmoid") -> Float[Tensor, "b 1 x y z"]:
    """Return the attention of [1] Eq. 7.

    Departs from [1], where Eq. 7 has a softmax and the text a sigmoid. A softmax over 512,000 voxels makes the features
    vanish, so the default is the sigmoid; ``softmax`` is the softmax over space times the number of voxels, with a
    mean of 1.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """
    if kind == "sigmoid":
        return projected.sigmoid()
    flat = projected.flatten(2)
    return (flat.softmax(dim=2) * flat.shape[2]).view_as(projected)


@final
class NoGuidance(Guidance):
    """J = D: the classifier does not receive the lesion map ([1] Table 8, "w/o LGM")."""

    def forward(
        self, features: Float[Tensor, "b c x y z"], lesion_probability: Float[Tensor, "b 1 X Y Z"] | None
    ) -> Float[Tensor, "b c x y z"]:
        """Return ``features`` unchanged."""
        del lesion_probability
        return features


@final
class DotGuidance(Guidance):
    r"""Gate the classification features by the lesion map, [1] Eq. 7-8 (Table 8, "dot product").

    .. math:: J = D' = a \cdot D, \quad a = \sigma(f_P(P))

    P: lesion probability; f_P: see ``LesionProjection``; a: see ``attention``, broadcast over the channels of D, the
    classification features.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, attention: AttentionKind = "sigmoid", detach: bool = False, start: Start = "random") -> None:
        super().__init__()
        require_choice("network.guidance.attention", attention, AttentionKind)
        self.attention: AttentionKind = attention
        self.project = LesionProjection(detach, start)

    def forward(
        self, features: Float[Tensor, "b c x y z"], lesion_probability: Float[Tensor, "b 1 X Y Z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return ``features``, kept where a lesion is likely and suppressed elsewhere."""
        return attention(self.project(lesion_probability), self.attention) * features


@final
class ConcatGuidance(Guidance):
    r"""Fuse the lesion map with the ungated features ([1] Table 8, "concat").

    .. math:: J = f_{1\times1}(concat(f_{3\times3}(P'), f_{3\times3}(D)))

    Symbols and departures as in ``FullGuidance``, without its attention.
    """

    def __init__(self, channels: int = 32, detach: bool = False, start: Start = "random") -> None:
        super().__init__()
        self.channels = channels
        self.project = LesionProjection(detach, start)
        self.fuse = Fusion(channels)

    def forward(
        self, features: Float[Tensor, "b c x y z"], lesion_probability: Float[Tensor, "b 1 X Y Z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return the fused features."""
        return self.fuse(self.project(lesion_probability), features)


@final
class AddGuidance(Guidance):
    r"""Add the projected lesion map to every channel ([1] Table 8, "dot add").

    .. math:: J = D + P', \quad P' = f_P(P)
    """

    def __init__(self, detach: bool = False, start: Start = "random") -> None:
        super().__init__()
        self.project = LesionProjection(detach, start)

    def forward(
        self, features: Float[Tensor, "b c x y z"], lesion_probability: Float[Tensor, "b 1 X Y Z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return ``features`` raised where a lesion is likely."""
        return features + self.project(lesion_probability)


@final
class FullGuidance(Guidance):
    r"""Gate the features by the lesion map, then fuse them with it: the joint model of [1], Eq. 7-9.

    .. math:: J = f_{1\times1}(concat(f_{3\times3}(P'), f_{3\times3}(D'))), \quad D' = a \cdot D, \quad P' = f_P(P)

    P: lesion probability; D: classification features; a: see ``attention``; f_P: see ``LesionProjection``; f_3x3,
    f_1x1: see ``Fusion``.

    Args:
        channels: width of the features.
        attention: sigmoid, or softmax over space times the number of voxels.
        detach: stop gradients of the classification into the segmentation.
        start: ``random``, or ``lesions``: gates open on lesions from the first step.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(
        self, channels: int = 32, attention: AttentionKind = "sigmoid", detach: bool = False, start: Start = "random"
    ) -> None:
        super().__init__()
        self.channels = channels
        require_choice("network.guidance.attention", attention, AttentionKind)
        self.attention: AttentionKind = attention
        self.project = LesionProjection(detach, start)
        self.fuse = Fusion(channels)

    def forward(
        self, features: Float[Tensor, "b c x y z"], lesion_probability: Float[Tensor, "b 1 X Y Z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return the gated and fused features."""
        projected = self.project(lesion_probability)
        return self.fuse(projected, attention(projected, self.attention) * features)


@final
class Fusion(nn.Module):
    """f_1x1(concat(f_3x3(P'), f_3x3(features))) of [1] Eq. 9; f_3x3: 3x3x3 convolution to c, f_1x1: from 2c to c.

    Departs from [1], which prints stride 2 for f_3x3 but a result on the grid of the features: the stride is 1.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lesion = conv3(1, channels, bias=True)
        self.features = conv3(channels, channels, bias=True)
        self.mix = Conv3d(2 * channels, channels, kernel_size=1)

    def forward(
        self, projected: Float[Tensor, "b 1 x y z"], features: Float[Tensor, "b c x y z"]
    ) -> Float[Tensor, "b c x y z"]:
        """Return the fused features on the same grid."""
        return self.mix(torch.cat([self.lesion(projected), self.features(features)], dim=1))
