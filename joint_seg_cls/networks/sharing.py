"""Information sharing: the input features of each task ([1], section 3.2.2 and Table 7)."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.networks.blocks import conv3
from joint_seg_cls.networks.components import SharedFeatures, Sharing
from joint_seg_cls.networks.global_branch import GlobalBranch
from joint_seg_cls.networks.local_branch import LocalBranch


@final
class Crossover(nn.Module):
    r"""Mix local and global context for each task with four learnable weights, [1] Eq. 4.

    .. math:: \begin{bmatrix} f_{seg} \\ f_{cls} \end{bmatrix} =
              \begin{bmatrix} w_{seg,1} & w_{cls,2} \\ w_{seg,2} & w_{cls,1} \end{bmatrix}
              \begin{bmatrix} CTX_{local} \\ CTX_{global} \end{bmatrix}

    Departs from [1]: the initialisation is not given; the initial weight is 0.9 for the branch that is more useful for
    the task in its Table 7 (local for segmentation, global for classification) and 0.1 for the other.

    Args:
        segmentation_local: initial value of w_seg,1; w_cls,2 starts at one minus this value.
        classification_local: initial value of w_seg,2; w_cls,1 starts at one minus this value.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, segmentation_local: float = 0.9, classification_local: float = 0.1) -> None:
        super().__init__()
        local = (segmentation_local, classification_local)
        self.weights = nn.Parameter(torch.tensor([[share, 1 - share] for share in local]))

    def forward(
        self, local_features: Float[Tensor, "b c x y z"], global_features: Float[Tensor, "b c x y z"]
    ) -> SharedFeatures:
        """Return the segmentation and the classification features."""
        (seg_local, seg_global), (cls_local, cls_global) = self.weights
        return SharedFeatures(
            seg_local * local_features + seg_global * global_features,
            cls_local * local_features + cls_global * global_features,
        )


@final
class CrossoverSharing(Sharing):
    """Both branches, mixed for each task by the crossover unit, as in the joint model of [1], Eq. 1-4.

    Args:
        in_channels: modalities of the image.
        channels: width of the features.
        image_size: voxels along the image's sides; defines the attention windows of the global branch.
        embedding_width: features per token of the global branch, ``None`` for ``channels``.
        segmentation_local: initial share of the local branch in the segmentation features.
        classification_local: initial share of the local branch in the classification features.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 32,
        image_size: int | Sequence[int] = 160,
        embedding_width: int | None = None,
        heads: int = 4,
        segmentation_local: float = 0.9,
        classification_local: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.local_branch = LocalBranch(in_channels, channels)
        self.global_branch = GlobalBranch(in_channels, channels, image_size, embedding_width, heads)
        self.crossover = Crossover(segmentation_local, classification_local)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the mixed features."""
        return self.crossover(self.local_branch(image), self.global_branch(image))


@final
class LocalSharing(Sharing):
    """Both tasks use only the local branch ([1] Table 7, "only local")."""

    def __init__(self, in_channels: int = 1, channels: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.local_branch = LocalBranch(in_channels, channels)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the local context twice."""
        features = self.local_branch(image)
        return SharedFeatures(features, features)


@final
class GlobalSharing(Sharing):
    """Both tasks use only the global branch ([1] Table 7, "only global"); arguments as ``CrossoverSharing``."""

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 32,
        image_size: int | Sequence[int] = 160,
        embedding_width: int | None = None,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.global_branch = GlobalBranch(in_channels, channels, image_size, embedding_width, heads)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the global context twice."""
        features = self.global_branch(image)
        return SharedFeatures(features, features)


@final
class SeparateStems(Sharing):
    """No sharing; each task has its own stem ([1] Table 7, "w/o share").

    Departs from [1]: the stem is not described; it is one 3x3x3 convolution of stride 2 to ``channels``.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, in_channels: int = 1, channels: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.segmentation_stem = conv3(in_channels, channels, stride=2, bias=True)
        self.classification_stem = conv3(in_channels, channels, stride=2, bias=True)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the features of each stem."""
        return SharedFeatures(self.segmentation_stem(image), self.classification_stem(image))


@final
class SingleStem(Sharing):
    """The stem of a single-task model ([1] Tables 5-6, "only seg" and "only cls").

    One stem of ``SeparateStems``; the stem of a missing task would never be trained.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, in_channels: int = 1, channels: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.stem = conv3(in_channels, channels, stride=2, bias=True)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the stem's features for both fields."""
        features = self.stem(image)
        return SharedFeatures(features, features)
