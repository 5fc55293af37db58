"""The order of the cases and their division among processes."""

from collections.abc import Iterator
from typing import cast, final

from torch.utils.data import Dataset, DistributedSampler

from joint_seg_cls.data.draws import random_state


@final
class CaseSampler(DistributedSampler):
    """Yield ``(epoch, index)``, so that persistent workers know the current epoch.

    In training the order is a function of (seed, epoch) and is divided among the processes of a distributed run; the
    first cases are repeated if necessary, since every process needs the same number of steps. In evaluation the order
    is that of the dataset and no case is repeated, so that the shares may differ by one case.

    A ``DistributedSampler`` is used also in a single process: Lightning then adds no other sampler, and calls
    ``set_epoch`` before each epoch.
    """

    def __init__(self, size: int, *, seed: int, train: bool, rank: int = 0, world: int = 1) -> None:
        super().__init__(cast("Dataset", range(size)), num_replicas=world, rank=rank, shuffle=train, seed=seed)
        self.size = size
        self.train = train

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = list(range(self.size))
        if self.train:
            order = random_state("order", self.seed, self.epoch).permutation(self.size).tolist()
            missing = -self.size % self.num_replicas
            order += (order * (1 + missing // self.size))[:missing]
        return ((self.epoch, index) for index in order[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        missing = -self.size % self.num_replicas if self.train else 0
        return len(range(self.rank, self.size + missing, self.num_replicas))
