"""Valid images: sides divisible by 16, the edge of one token of the global branch, and the expected modalities."""

from collections.abc import Sequence

from torch import Tensor

from joint_seg_cls.errors import ConfigError

#: Voxels along the edge of one token: 8 from the patch embedding, 2 from the pooling after it.
TOKEN_VOXELS = 16


def checked_size(size: int | Sequence[int], where: str = "network.image_size") -> tuple[int, int, int]:
    """Return ``size`` as three sides in voxels.

    Args:
        size: one side of a cube, or three sides.
        where: the configuration key, for the message.

    Raises:
        ConfigError: not one or three sides, or a side that is not a positive multiple of 16; the message has the
            nearest valid sizes.
    """
    sides = (size,) * 3 if isinstance(size, int) else tuple(int(side) for side in size)
    if len(sides) != 3:
        raise ConfigError(
            where,
            expected="one side or three, in voxels",
            found=f"{len(sides)} sides {list(sides)}",
            remedy="use one number for a cube, or three",
        )
    if any(side < 1 or side % TOKEN_VOXELS for side in sides):
        below = [max(side // TOKEN_VOXELS, 1) * TOKEN_VOXELS for side in sides]
        above = [max(-(-side // TOKEN_VOXELS), 1) * TOKEN_VOXELS for side in sides]
        nearest = " or ".join(format_size(each) for each in dict.fromkeys(map(tuple, (below, above))))
        raise ConfigError(
            where,
            expected=f"sides divisible by {TOKEN_VOXELS}",
            found=format_size(sides),
            remedy=f"use the nearest valid size, {nearest}",
        )
    x, y, z = sides
    return x, y, z


def check_modalities(image: Tensor, in_channels: int) -> None:
    """Refuse an image (b, modalities, x, y, z) with another number of modalities.

    Raises:
        ConfigError: the number of modalities is not ``in_channels``.
    """
    if image.shape[1] != in_channels:
        raise ConfigError(
            "image",
            expected=f"{in_channels} modalities",
            found=str(image.shape[1]),
            remedy="use images with the network's number of modalities, or set network.in_channels to their number",
        )


def token_grid(size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the number of tokens along each axis of an image of ``size`` voxels."""
    x, y, z = (side // TOKEN_VOXELS for side in size)
    return x, y, z


def format_size(sides: Sequence[int]) -> str:
    """Return ``160x160x160`` for (160, 160, 160)."""
    return "x".join(str(side) for side in sides)
