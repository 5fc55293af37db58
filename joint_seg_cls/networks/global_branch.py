"""The global branch of information sharing: context of the whole brain ([1], section 3.2.2)."""

from collections.abc import Sequence
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.networks.convolution import Conv3d
from joint_seg_cls.networks.input_size import checked_size, token_grid
from joint_seg_cls.networks.upsampling import upsample_linear
from joint_seg_cls.networks.windows import ShiftedWindows


@final
class GlobalBranch(nn.Module):
    r"""Patch embedding, layer norm, two Swin layers, interpolation, [1] Eq. 1-2.

    .. math:: CTX_{global} = UP(ST(LN(E))), \quad E = PE(I)

    I: image; PE: 8x8x8 convolution of stride 8, then 2x2x2 average pooling of stride 2, so that a token represents
    16x16x16 voxels; LN: layer norm over channels; ST: two Swin layers, windows of 5x5x5 tokens, the second shifted;
    UP: trilinear interpolation to half the image's grid.
    Departs from [1]: the width of the embedding is not given; it is ``channels`` by default; with another
    ``embedding_width``, a 1x1x1 convolution maps it to ``channels`` before the interpolation.

    Args:
        in_channels: modalities of the image.
        channels: width of the output.
        image_size: voxels along the image's sides; defines the attention windows.
        embedding_width: features of a token, ``None`` for ``channels``.

    Raises:
        ConfigError: an invalid image size, here or in ``forward``.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 32,
        image_size: int | Sequence[int] = 160,
        embedding_width: int | None = None,
        heads: int = 4,
    ) -> None:
        super().__init__()
        width = channels if embedding_width is None else embedding_width
        self.embed = Conv3d(in_channels, width, kernel_size=8, stride=8)
        self.norm = nn.LayerNorm(width)
        self.attention = ShiftedWindows(width, heads, token_grid(checked_size(image_size)))
        self.project = nn.Identity() if width == channels else Conv3d(width, channels, kernel_size=1)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> Float[Tensor, "b channels x//2 y//2 z//2"]:
        """Return the global context on half the image's grid."""
        _, _, x, y, z = image.shape
        tokens = _pool2(self.embed(image))
        tokens = self.norm(tokens.movedim(1, -1)).movedim(-1, 1)
        return upsample_linear(self.project(self.attention(tokens)), (x // 2, y // 2, z // 2))


def _pool2(features: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c x//2 y//2 z//2"]:
    """Return the mean of each 2x2x2 block; unlike average pooling, its gradient on CUDA is deterministic."""
    b, c, x, y, z = features.shape
    return features.reshape(b, c, x // 2, 2, y // 2, 2, z // 2, 2).mean((3, 5, 7))
