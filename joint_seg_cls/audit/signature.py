"""Recognising scans: a hash of their values, and a coarse picture of the head."""

import hashlib
from collections.abc import Sequence
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float32, Num
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from joint_seg_cls.scan.grid import bounding_box

#: Blocks of the coarse picture along each axis.
_BLOCKS = 20
#: Structures smoother than this many blocks are similar in all heads and are removed.
_SMOOTH_BLOCKS = 1.5
#: Intensities (lesions, vessels) are clipped at this many standard deviations, so that few bright ones do not dominate.
_BOUND = 2.0


def content_hash(array: Num[np.ndarray, "..."]) -> str:
    """Return a hash of the values of an array; 32 hexadecimal digits."""
    digest = hashlib.blake2b(np.ascontiguousarray(array, dtype=np.float32).reshape(-1).data, digest_size=16)
    digest.update(str(array.shape).encode())
    return digest.hexdigest()


def signature(
    image: Num[np.ndarray, "x y z"], head: Bool[np.ndarray, "x y z"]
) -> Float32[np.ndarray, " blocks"] | None:
    """Return the cropped head as a few thousand block means of unit norm, without what all heads share.

    None if the box is too small.
    """
    box = bounding_box(head)
    if not head.any() or min(part.stop - part.start for part in box) < 8:
        return None
    values = np.asarray(image[head], dtype=np.float32)
    spread = float(values.std())
    if spread == 0:
        return None
    standard = np.clip((np.asarray(image[box], dtype=np.float32) - values.mean()) / spread, -_BOUND, _BOUND)
    coarse = _blocks(np.where(head[box], standard, np.float32(0)))
    detail = (coarse - ndimage.gaussian_filter(coarse, _SMOOTH_BLOCKS)).ravel()
    norm = float(np.linalg.norm(detail))
    return (detail / norm).astype(np.float32) if norm > 0 else None


def _blocks(volume: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "blocks blocks blocks"]:
    """Return the means over blocks."""
    for axis in range(3):
        edges = np.linspace(0, volume.shape[axis], _BLOCKS + 1).astype(int)
        starts = np.minimum(edges[:-1], volume.shape[axis] - 1)
        counts = np.maximum(np.diff(edges), 1).reshape([-1 if a == axis else 1 for a in range(3)])
        volume = (np.add.reduceat(volume, starts, axis=axis) / counts).astype(np.float32)
    return volume


def alike(signatures: Sequence[Float32[np.ndarray, " blocks"] | None], least: float) -> list[tuple[int, int, float]]:
    """Return the pairs with a correlation of at least ``least``, with the correlation."""
    known = [number for number, one in enumerate(signatures) if one is not None]
    if len(known) < 2:
        return []
    table = np.stack([one for one in signatures if one is not None])
    pairs = []
    for start in range(0, len(known), 512):
        product = table[start : start + 512] @ table.T
        for row, column in np.argwhere(product >= least):
            if column > row + start:
                pairs.append((known[row + start], known[column], float(product[row, column])))
    return pairs


def groups(keys: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return groups of at least two positions that share keys, directly or transitively."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(chain(*keys)), start=len(keys))}
    links = [(position, numbers[key]) for position, own in enumerate(keys) for key in own]
    rows, columns = np.array(links, dtype=int).reshape(-1, 2).T
    size = len(keys) + len(numbers)
    _, root = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)))
    joined: dict[int, list[int]] = {}
    for position in range(len(keys)):
        joined.setdefault(root[position], []).append(position)
    return [members for members in joined.values() if len(members) > 1]
