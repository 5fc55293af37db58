"""Shifted-window self-attention: the two Swin layers of the global branch ([1], section 3.2.2)."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float, Int64
from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask, get_window_size
from torch import Tensor, nn

from joint_seg_cls.errors import CheckpointError, ConfigError
from joint_seg_cls.networks.input_size import TOKEN_VOXELS, format_size

#: Tokens along the edge of an attention window, as in [1].
WINDOW_TOKENS = 5


@final
class ShiftedWindows(nn.Module):
    """Two Swin layers on a grid of tokens, the second with its windows shifted by half a window.

    The windows have min(5, grid) tokens along each axis, with a relative position bias as in Swin [2]. An axis not
    longer than the window has one window and no shift, so windows shift for images from 96 voxels up. A grid with other
    windows than the grid given here is refused, in ``forward`` and when a state is loaded; the state contains its grid.

    Args:
        heads: attention heads; they must divide ``width``.

    Raises:
        ConfigError: a width not divisible by the heads, or in ``forward`` a grid with other windows.
        CheckpointError: a state from a grid with other windows.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    [2] https://arxiv.org/abs/2103.14030
    """

    def __init__(self, width: int, heads: int, grid: tuple[int, int, int]) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(
                "network.sharing",
                expected=f"an embedding width divisible by its {heads} attention heads",
                found=f"a width of {width}",
                remedy="choose network.channels (or the embedding width) as a multiple of the heads",
            )
        self.grid = grid
        self.window = window_of(grid)
        self.shifts = ((0, 0, 0), tuple(side // 2 for side in self.window))
        self.layers = nn.ModuleList(
            SwinTransformerBlock(width, heads, window_size=self.window, shift_size=shift) for shift in self.shifts
        )

    def forward(self, tokens: Float[Tensor, "b width x y z"]) -> Float[Tensor, "b width x y z"]:
        """Return the tokens after attention within their windows."""
        _, _, *grid = tokens.shape
        if window_of(grid) != self.window:
            raise ConfigError(
                "image",
                expected=f"windows of {format_size(self.window)} tokens, as at {_voxels(self.grid)} voxels",
                found=f"{_voxels(grid)} voxels, with windows of {format_size(window_of(grid))}",
                remedy="use images of the network's size, or set network.image_size to their size",
            )
        features = tokens.permute(0, 2, 3, 4, 1)  # b x y z width
        for layer, shift in zip(self.layers, self.shifts, strict=True):
            features = layer(features, self._mask(shift, grid, tokens.device))
        return features.permute(0, 4, 1, 2, 3)

    def _mask(self, shift: Sequence[int], grid: Sequence[int], device: torch.device) -> Tensor | None:
        """Return the mask between tokens that are neighbours only because of the cyclic shift."""
        window, shift = get_window_size(tuple(grid), self.window, tuple(shift))
        if not any(shift):
            return None
        padded = [-(-tokens // side) * side for tokens, side in zip(grid, window, strict=True)]
        return compute_mask(padded, window, shift, device)

    def get_extra_state(self) -> Int64[Tensor, "3"]:
        """Return the grid of the windows, as part of ``state_dict()``."""
        return torch.tensor(self.grid)

    def set_extra_state(self, state: Int64[Tensor, "3"]) -> None:
        """Refuse a state with other windows, whose position biases would refer to other offsets."""
        grid = state.tolist()
        if window_of(grid) != self.window:
            raise CheckpointError(
                "checkpoint",
                expected=f"windows of {format_size(self.window)} tokens (images of {_voxels(self.grid)} voxels)",
                found=f"windows of {format_size(window_of(grid))} (trained on images of {_voxels(grid)} voxels)",
                remedy="set network.image_size to the size that the checkpoint was trained on",
            )


def window_of(grid: Sequence[int]) -> tuple[int, int, int]:
    """Return the window size in tokens along each axis of a grid."""
    x, y, z = (min(WINDOW_TOKENS, tokens) for tokens in grid)
    return x, y, z


def _voxels(grid: Sequence[int]) -> str:
    return format_size([tokens * TOKEN_VOXELS for tokens in grid])
