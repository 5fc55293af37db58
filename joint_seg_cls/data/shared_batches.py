"""Batches sent from loader processes through memory that is used again and again."""

import mmap
import os
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, final
from weakref import WeakValueDictionary, finalize

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from joint_seg_cls.batch import Batch
from joint_seg_cls.data.dataset import collate

#: The objects of this process, by the key that its loader processes inherit.
_IN_USE: "WeakValueDictionary[int, SharedBatches]" = WeakValueDictionary()


@final
class SharedBatches:
    """A ``collate_fn`` that sends batches to the main process through shared memory.

    torch allocates new shared memory for each tensor of each batch, which the system fills with zeros page by page:
    that can take longer than loading and augmentation. Here each loader process has a few places in memory, and uses a
    place again when the main process has no tensor of the batch in it any more. A place that was never used is not
    allocated, and the size of ``/dev/shm`` is no limit.

    Each loader needs its own object, and loader processes that are forked. In the main process, for a batch that does
    not fit, and while no place is free, it is :func:`collate`.

    Args:
        workers: number of loader processes.
        places: number of batches of one loader process that can be in memory.
        numbers: numbers in images and masks of the largest batch.
    """

    def __init__(self, workers: int, places: int, numbers: int) -> None:
        memory = np.frombuffer(mmap.mmap(-1, 4 * workers * places * numbers), dtype=np.float32)
        self._memory = memory.reshape(workers, places, numbers)
        self._is_taken = np.frombuffer(mmap.mmap(-1, workers * places), dtype=bool).reshape(workers, places)
        self._process = os.getpid()
        _IN_USE[id(self)] = self

    def __call__(self, items: Sequence[Batch]) -> "Batch | _Sent":
        """Return the batch; in a loader process, an object that is received as the batch."""
        worker = get_worker_info()
        free = np.flatnonzero(~self._is_taken[worker.id]).tolist() if worker is not None else []
        shapes = [(len(items), *volume.shape[1:]) for volume in items[0][:2]]
        is_single = all(volume.dtype == torch.float32 for item in items for volume in item[:2])
        if worker is None or not free or not is_single or sum(map(prod, shapes)) > self._memory.shape[2]:
            return collate(items)
        place = worker.id, free[0]
        self._is_taken[place] = True
        image, lesion_mask = _volumes(self._memory[place], shapes)
        torch.cat([item.image for item in items], out=image)
        torch.cat([item.lesion_mask for item in items], out=lesion_mask)
        *labels, case = zip(*(item[2:] for item in items), strict=True)
        lists = [[label.item() for label in each] for each in labels]
        return _Sent(id(self), place, shapes, lists, [name for names in case for name in names])

    def receive(
        self, place: tuple[int, int], shapes: list[tuple[int, ...]], labels: list[list[int]], case: list[str]
    ) -> Batch:
        """Return the batch at a place in memory, which is free again when no tensor uses it."""
        memory = self._memory[place]
        finalize(memory, self._release, place).atexit = False
        image, lesion_mask = _volumes(memory, shapes)
        disease, has_lesion_mask, has_disease = map(torch.tensor, labels)
        return Batch(image, lesion_mask, disease, has_lesion_mask, has_disease, case)

    def _release(self, place: tuple[int, int]) -> None:
        if os.getpid() == self._process:  # processes forked later have copies of the tensors, but the same memory
            self._is_taken[place] = False


@final
class _Sent:
    """A batch in shared memory; the process that receives it gets the batch."""

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def __reduce__(self) -> tuple[Callable[..., Batch], tuple[Any, ...]]:
        return _received, self._fields


def _received(key: int, *fields: Any) -> Batch:
    return _IN_USE[key].receive(*fields)


def _volumes(memory: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Return tensors of these shapes, one after the other in a part of the memory."""
    sizes = [prod(shape) for shape in shapes]
    parts = torch.from_numpy(memory)[: sum(sizes)].split(sizes)
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
