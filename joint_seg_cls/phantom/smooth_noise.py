"""Smooth noise over a volume."""

import numpy as np
from jaxtyping import Float32

from joint_seg_cls.phantom.resizing import stretched


def smooth_noise(shape: tuple[int, ...], length: float | int, rng: np.random.Generator) -> Float32[np.ndarray, "x y z"]:
    """Return standard normal nodes ``length`` voxels apart, interpolated linearly."""
    return noise_on_nodes(shape, tuple(int(np.ceil(side / length)) + 1 for side in shape), rng)


def noise_on_nodes(
    shape: tuple[int, ...], nodes: tuple[int, ...], rng: np.random.Generator
) -> Float32[np.ndarray, "x y z"]:
    """Return standard normal nodes, with the given number along each axis, interpolated over the volume."""
    nodes = tuple(min(max(2, number), max(side, 2)) for number, side in zip(nodes, shape, strict=True))
    noise = rng.standard_normal(nodes, dtype=np.float32)
    for axis, side in enumerate(shape):
        noise = stretched(noise, axis, side, corners=True)
    return noise
