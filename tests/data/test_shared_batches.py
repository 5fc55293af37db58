"""Batches through shared memory: equal to those of one process, and never changed while they are in use."""

import gc
import multiprocessing

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from joint_seg_cls.batch import Batch
from joint_seg_cls.data import collate
from joint_seg_cls.data.shared_batches import SharedBatches

SIDE = 8
NUMBERS = 2 * 2 * SIDE**3

pytestmark = pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="processes are not forked")


class Numbered(Dataset[Batch]):
    """Cases whose voxels have the number of the case."""

    def __init__(self, side: int = SIDE) -> None:
        self.side = side

    def __len__(self) -> int:
        return 24

    def __getitem__(self, number: int) -> Batch:
        image = torch.full((1, 1, *(self.side,) * 3), float(number))
        flags = torch.tensor([number % 2 == 0]), torch.tensor([number % 3 == 0])
        return Batch(image, -image, torch.tensor([number]), *flags, [str(number)])


def loader(places: int, side: int = SIDE) -> DataLoader:
    return DataLoader(
        Numbered(side),
        batch_size=2,
        num_workers=2,
        collate_fn=SharedBatches(2, places, NUMBERS),
        persistent_workers=True,
        prefetch_factor=2,
    )


def is_right(batch: Batch) -> bool:
    right = collate([Numbered(batch.image.shape[-1])[int(name)] for name in batch.case])
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(batch[:5], right[:5], strict=True))


def through_torch(batch: Batch) -> bool:
    """Return whether the batch is in memory of its own that torch shares."""
    return batch.image.is_shared()


def test_a_place_is_used_again_only_when_its_batch_is_not_in_use():
    batches = loader(places=4)
    for _ in range(3):
        held: list[Batch] = []  # as in a training that fetches a batch ahead
        for batch in batches:
            held = [*held, batch][-2:]
            assert all(is_right(each) for each in held)
            assert not through_torch(batch)
    assert [int(name) for each in held for name in each.case] == [20, 21, 22, 23]


def test_batches_that_are_kept_stay_as_they_are_and_later_ones_take_other_memory():
    batches = loader(places=4)
    kept = list(batches)
    part = kept[0].image[1]
    assert sum(not through_torch(batch) for batch in kept) == 8
    assert all(is_right(batch) for batch in kept)
    assert all(is_right(batch) for batch in batches)
    del kept
    gc.collect()
    list(batches)
    assert (part == 1).all()  # a part of a batch keeps its memory in use


def test_a_batch_that_does_not_fit_is_sent_by_torch():
    batches = list(loader(places=3, side=16))
    assert all(is_right(batch) and through_torch(batch) for batch in batches)
    assert len(batches) == 12


def test_a_loader_that_is_left_early_gives_whole_batches_again():
    batches = loader(places=2)
    for number, batch in enumerate(batches):
        assert is_right(batch)
        if number == 3:
            break
    assert [is_right(batch) for batch in batches] == [True] * 12
