"""The Lightning data module: data loaders for one fold of a prepared store."""

from functools import cached_property
from math import prod
from multiprocessing import get_start_method
from pathlib import Path
from typing import Literal, final

import torch
from lightning.pytorch import LightningDataModule
from monai.data import DataLoader

from joint_seg_cls.cpu import available_cores
from joint_seg_cls.data.dataset import Augmentation, CaseDataset, check_cases, collate
from joint_seg_cls.data.folds import Folds
from joint_seg_cls.data.frozen import FrozenFolds, freeze
from joint_seg_cls.data.sampler import CaseSampler
from joint_seg_cls.data.shared_batches import SharedBatches
from joint_seg_cls.data.split import FoldMaker, FoldName, Split, pick
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan import PreparedStore

Part = Literal["train", "validation", "test"]

#: More workers do not speed up one network; loading without augmentation needs fewer.
_MOST_WORKERS = 8
_MOST_EVALUATION_WORKERS = 2
#: Batches that a worker loads in advance.
_PREFETCHED = 2
#: Batches that training holds: the current one, and the next one if Lightning fetches it before.
_HELD = 2


@final
class JointDataModule(LightningDataModule):
    """One fold of a prepared store. Batches depend neither on ``workers`` nor on whether a run was resumed.

    Args:
        store: folder of a prepared store.
        fold: number of the test fold, or ``held_out``.
        seed: seed of order and augmentation. The folds have their own seed.
        folds: generates the folds. They are frozen to a file in the store at first use.
        validation_fraction: share of the training subjects used for validation; 0 for none.
        augmentation: applied to each training case in every epoch; None for none.
        batch_size: scans per batch. The last batch of an epoch may be smaller.
        workers: loader processes; 0 loads in the main process; None uses the available cores, at most 8.
        cache: keep the cases in memory, for stores on a slow disk or network.
    """

    def __init__(
        self,
        store: str | Path,
        fold: FoldName = 0,
        seed: int = 0,
        *,
        folds: FoldMaker | None = None,
        validation_fraction: int | float = 0.0,
        augmentation: Augmentation | None = None,
        batch_size: int = 2,
        workers: int | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__()
        self.path = Path(store)
        self.fold = fold
        self.seed = seed
        self.folds = Folds() if folds is None else folds
        self.validation_fraction = validation_fraction
        self.augmentation = augmentation
        self.batch_size = _at_least("data.batch_size", batch_size, 1)
        self.workers = (
            min(_MOST_WORKERS, available_cores() - 1) if workers is None else _at_least("data.workers", workers, 0)
        )
        self.cache = cache
        self._is_set_up = False
        self._datasets: dict[tuple[Part, bool], CaseDataset] = {}

    @cached_property
    def store(self) -> PreparedStore:
        """The prepared store."""
        return PreparedStore(self.path)

    @cached_property
    def split(self) -> Split:
        """The training, validation and test cases of the fold."""
        return pick(self.frozen.splits, self.fold, self.store.cases, self.validation_fraction)

    @cached_property
    def frozen(self) -> FrozenFolds:
        """All folds of the store, from the file in which they are frozen."""
        return freeze(self.store, self.folds, self.validation_fraction)

    @property
    def split_hash(self) -> str:
        """Hash of this fold's split."""
        return self.split.split_hash

    @property
    def folds_hash(self) -> str:
        """Hash of all folds."""
        return self.frozen.hash

    @property
    def classes(self) -> tuple[str, ...]:
        """Disease names in the order of their codes."""
        return self.store.classes

    @property
    def in_channels(self) -> int:
        """Number of modalities."""
        return len(self.store.modalities)

    @property
    def image_size(self) -> tuple[int, int, int]:
        """Voxels of the network's input along each axis."""
        return self.store.model_shape

    def setup(self, stage: str | None = None) -> None:
        """Read the store and its folds, open the arrays of every case once, and augment one. May be called repeatedly.

        Raises:
            ConfigError: the augmentation does not fit the store.
            StoreError: the store or one of its cases is invalid.
            SplitError: the folds cannot be generated, or the frozen folds belong to other cases.
        """
        del stage
        if not self._is_set_up:
            _ = self.split
            check_cases(self.store.cases, self.classes, self.in_channels, self.image_size)
            if self.augmentation is not None:  # here an error stops the run before files are written
                first = next(case for case in self.store.cases if case.case in self.split.train)
                _ = CaseDataset([first], self.classes, self.augmentation, self.seed)[0]
            self._is_set_up = True

    def train_dataloader(self) -> DataLoader:
        """Return the training cases, shuffled and augmented."""
        return self.loader("train", train=True)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Return the validation cases; empty without validation."""
        return self.loader("validation") if self.split.validation else []

    def test_dataloader(self) -> DataLoader:
        """Return the test cases."""
        return self.loader("test")

    def predict_dataloader(self) -> DataLoader:
        """Return the test cases."""
        return self.loader("test")

    def loader(self, part: Part, *, train: bool = False) -> DataLoader:
        """Return the loader of a part: shuffled and augmented if ``train``, else in alphabetical order."""
        dataset = self._dataset(part, train)
        trainer = self.trainer
        if trainer is not None and not train and len(dataset) < trainer.world_size:
            raise ConfigError(
                f"the {part} part of fold {self.fold}",
                expected=f"a scan for each of {trainer.world_size} processes",
                found=str(len(dataset)),
                remedy="use fewer processes (trainer.devices, trainer.num_nodes), or a larger data.validation_fraction",
            )
        sampler = CaseSampler(
            len(dataset),
            seed=self.seed,
            train=train,
            rank=trainer.global_rank if trainer is not None else 0,
            world=trainer.world_size if trainer is not None else 1,
        )
        if train and trainer is not None:
            # In a resumed run Lightning sets the sampler's epoch only after the workers have started.
            progress = trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(progress.processed)  # pyright: ignore[reportAttributeAccessIssue] - declared as its base
        workers = self.workers if train else min(self.workers, _MOST_EVALUATION_WORKERS)
        is_shared = workers > 0 and get_start_method() == "fork"
        numbers = self.batch_size * (self.in_channels + 1) * prod(self.image_size)
        return DataLoader(
            dataset,
            num_workers=workers,
            batch_size=self.batch_size,
            sampler=sampler,
            collate_fn=SharedBatches(workers, _PREFETCHED + _HELD, numbers) if is_shared else collate,
            prefetch_factor=_PREFETCHED if workers else None,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _dataset(self, part: Part, train: bool) -> CaseDataset:
        if (part, train) not in self._datasets:
            by_name = {case.case: case for case in self.store.cases}
            cases = [by_name[name] for name in getattr(self.split, part)]
            dataset = CaseDataset(cases, self.classes, self.augmentation if train else None, self.seed)
            if self.cache:
                dataset.read_into_memory()
            self._datasets[part, train] = dataset
        return self._datasets[part, train]


def _at_least(key: str, value: int, least: int) -> int:
    if value < least:
        raise ConfigError(key, expected=f"a number of at least {least}", found=str(value), remedy="correct it")
    return value
