"""In which order cases are visited, and by which process."""

from collections.abc import Iterator
from typing import cast, final

from torch.utils.data import Dataset, DistributedSampler

from joint_seg_cls.data.draws import random_state


@final
class CaseSampler(DistributedSampler):
    """Yield ``(epoch, index)``, so that workers that outlive an epoch know which one they serve.

    In training the order is a function of (seed, epoch), cut among the processes of a distributed run; where the cases
    do not divide evenly the first of the order are visited once more, as every process needs as many steps. In
    evaluation the order is the dataset's and no case is visited twice, so the processes' shares may differ by one.

    It is a ``DistributedSampler`` in one process too: by that type Lightning sees that it need not add its own, and
    ``set_epoch``, which Lightning calls before each epoch (a resumed one included), comes from there.
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
