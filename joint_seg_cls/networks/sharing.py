"""Information sharing: which features each task starts from ([1], section 3.2.2 and the rows of its Table 7)."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.networks.blocks import conv3
from joint_seg_cls.networks.global_branch import GlobalBranch
from joint_seg_cls.networks.local_branch import LocalBranch
from joint_seg_cls.networks.parts import SharedFeatures, Sharing


@final
class Crossover(nn.Module):
    r"""Mix local and global context for each task by four learnable numbers, [1] Eq. 4.

    .. math:: \begin{bmatrix} f_{seg} \\ f_{cls} \end{bmatrix} =
              \begin{bmatrix} w_{seg,1} & w_{cls,2} \\ w_{seg,2} & w_{cls,1} \end{bmatrix}
              \begin{bmatrix} CTX_{local} \\ CTX_{global} \end{bmatrix}

    Departs from [1]: the start is not given; 0.9 stands on the branch that its Table 7 finds the more useful for the
    task (local for segmentation, global for classification), 0.1 on the other.

    Args:
        segmentation_local: start of w_seg,1; w_cls,2 starts with what it lacks of 1.
        classification_local: start of w_seg,2; w_cls,1 starts with what it lacks of 1.

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
    """Both branches, mixed for each task by the crossover unit: the joint model of [1], Eq. 1-4.

    Args:
        in_channels: modalities of the image.
        channels: width of the features.
        image_size: voxels along the image's sides; it decides the attention windows of the global branch.
        embedding_width: features of a token of the global branch, ``None`` for ``channels``.
        heads: attention heads of the global branch.
        segmentation_local: share of the local branch in the segmentation's features at the start.
        classification_local: likewise in the classification's.

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
        """Return the two mixtures."""
        return self.crossover(self.local_branch(image), self.global_branch(image))


@final
class LocalSharing(Sharing):
    """Both tasks read the local branch alone ([1] Table 7, "only local")."""

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
    """Both tasks read the global branch alone ([1] Table 7, "only global"); arguments as ``CrossoverSharing``."""

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
    """Nothing is shared: each task has a stem of its own ([1] Table 7, "w/o share").

    Departs from [1]: the stem is not described; it is one 3x3x3 convolution of stride 2 to ``channels``.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, in_channels: int = 1, channels: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.segmentation_stem = conv3(in_channels, channels, stride=2, bias=True)
        self.classification_stem = conv3(in_channels, channels, stride=2, bias=True)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return what each stem sees."""
        return SharedFeatures(self.segmentation_stem(image), self.classification_stem(image))


@final
class SingleStem(Sharing):
    """The stem of a single-task model ([1] Tables 5-6, "only seg" and "only cls").

    The same convolution as in ``SeparateStems``, once: a stem for a task that is absent would never learn.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, in_channels: int = 1, channels: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.stem = conv3(in_channels, channels, stride=2, bias=True)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> SharedFeatures:
        """Return the stem's features for whichever task is there."""
        features = self.stem(image)
        return SharedFeatures(features, features)
