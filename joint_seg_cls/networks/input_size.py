"""Which image sizes the network takes: sides divisible by 16, the edge of one token of the global branch."""

from collections.abc import Sequence

from joint_seg_cls.errors import ConfigError

#: Voxels along the edge of one token: 8 from the patch embedding, 2 from the pooling behind it.
TOKEN_VOXELS = 16


def checked_size(size: int | Sequence[int], where: str = "network.image_size") -> tuple[int, int, int]:
    """Return ``size`` as three sides in voxels.

    Args:
        size: one side of a cube, or three sides.
        where: what the error names.

    Raises:
        ConfigError: not one or three sides, or a side that is not a positive multiple of 16; it names the nearest that
        are.
    """
    sides = (size,) * 3 if isinstance(size, int) else tuple(int(side) for side in size)
    if len(sides) != 3:
        raise ConfigError(
            where,
            expected="one side or three, in voxels",
            found=f"{len(sides)} sides {list(sides)}",
            remedy="give one number for a cube, or three",
        )
    if any(side < 1 or side % TOKEN_VOXELS for side in sides):
        below = [max(side // TOKEN_VOXELS, 1) * TOKEN_VOXELS for side in sides]
        above = [max(-(-side // TOKEN_VOXELS), 1) * TOKEN_VOXELS for side in sides]
        nearest = " or ".join(spelled(each) for each in dict.fromkeys(map(tuple, (below, above))))
        raise ConfigError(
            where,
            expected=f"sides divisible by {TOKEN_VOXELS}",
            found=spelled(sides),
            remedy=f"use the nearest that fit, {nearest}",
        )
    x, y, z = sides
    return x, y, z


def token_grid(size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return how many tokens lie along each axis of an image of ``size`` voxels."""
    x, y, z = (side // TOKEN_VOXELS for side in size)
    return x, y, z


def spelled(sides: Sequence[int]) -> str:
    """Return ``160x160x160`` for (160, 160, 160)."""
    return "x".join(str(side) for side in sides)
