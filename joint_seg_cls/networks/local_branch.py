"""The local branch of information sharing: local appearance of lesions ([1], section 3.2.2)."""

from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.networks.blocks import conv3, conv_norm_act


@final
class LocalBranch(nn.Module):
    r"""Three 3x3x3 convolutions with strides 2, 1, 1 on the normalised image, [1] Eq. 3.

    .. math:: CTX_{local} = Conv(LN(I))

    I: image; LN: normalisation over channels and space of each sample; Conv: the three convolutions.
    Departs from [1]: a norm over the channels alone would erase a one-channel image, so LN includes space; the layers
    between the convolutions are not given, and without any the branch would be linear, so the first two convolutions
    are each followed by instance norm and leaky ReLU.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(self, in_channels: int = 1, channels: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(num_groups=1, num_channels=in_channels)
        self.convolutions = nn.Sequential(
            conv_norm_act(in_channels, channels, stride=2),
            conv_norm_act(channels, channels),
            conv3(channels, channels, bias=True),
        )

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> Float[Tensor, "b channels x//2 y//2 z//2"]:
        """Return the local context on half the image's grid."""
        return self.convolutions(self.norm(image))
