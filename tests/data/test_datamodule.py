"""The data module: batches independent of workers and resuming; partial labels; sizes."""

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from monai.transforms import Compose, RandGaussianNoised

from joint_seg_cls.batch import Batch
from joint_seg_cls.data import CaseDataset, CaseSampler, Folds, JointDataModule, RandFlipRotated, collate
from joint_seg_cls.errors import ConfigError, SplitError, StoreError


def module(store, **changes) -> JointDataModule:
    settings = {
        "fold": 1,
        "seed": 3,
        "validation_fraction": 0.2,
        "augmentation": RandFlipRotated(0.5, 0.5, 15.0),
        "workers": 0,
    }
    return JointDataModule(store.path, **(settings | changes))


def epochs(data: JointDataModule, numbers) -> list[list[Batch]]:
    """Return the training batches of each epoch as in a Trainer: one loader, with the epoch set in its sampler."""
    loader = data.train_dataloader()
    found = []
    for number in numbers:
        loader.sampler.set_epoch(number)
        found.append(list(loader))
    return found


def same(first: Batch, second: Batch) -> bool:
    return first.case == second.case and all(torch.equal(a, b) for a, b in zip(first[:5], second[:5], strict=True))


def test_the_number_of_workers_changes_no_batch(store):
    alone, helped = (epochs(module(store, workers=workers), range(2)) for workers in (0, 2))
    assert all(same(a, b) for x, y in zip(alone, helped, strict=True) for a, b in zip(x, y, strict=True))


def test_a_restart_at_an_epoch_gives_that_epochs_batches(store):
    whole = epochs(module(store), range(3))
    resumed = epochs(module(store, workers=1), [2])
    assert all(same(a, b) for a, b in zip(whole[2], resumed[0], strict=True))
    assert [batch.case for batch in whole[1]] != [batch.case for batch in whole[2]]


def test_the_global_random_state_is_neither_read_nor_changed(store):
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 (what is tested)
    first = epochs(module(store), [0])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.manual_seed(2)
    assert all(same(a, b) for a, b in zip(first[0], epochs(module(store), [0])[0], strict=True))


def test_augmentation_depends_on_the_case_and_not_on_its_position(store):
    by_case = {}
    for size in (2, 3):
        for batch in epochs(module(store, batch_size=size), [4])[0]:
            for image, name in zip(batch.image, batch.case, strict=True):
                assert torch.equal(by_case.setdefault(name, image), image)


@pytest.mark.parametrize("change", [{"seed": 4}, {"augmentation": None}])
def test_another_seed_or_augmentation_changes_the_images(store, change):
    images = []
    for data in (module(store), module(store, **change)):
        batches = epochs(data, [0])[0]
        images.append({name: image for batch in batches for image, name in zip(batch.image, batch.case, strict=True)})
    assert images[0].keys() == images[1].keys()
    assert any(not torch.equal(images[0][name], images[1][name]) for name in images[0])


def test_an_image_changes_from_epoch_to_epoch(store):
    dataset = CaseDataset(store.cases, store.classes, RandFlipRotated(1.0, 1.0, 15.0), seed=0)
    assert not torch.equal(dataset[0, 3].image, dataset[1, 3].image)
    assert torch.equal(dataset[1, 3].image, dataset[1, 3].image)
    assert torch.equal(dataset[3].image, dataset[0, 3].image)


def test_any_monai_transform_can_augment_reproducibly(store):
    noise = Compose([RandGaussianNoised(keys=["image"], prob=1.0), RandFlipRotated(0.5, 0.5, 15.0)])
    first, second = (epochs(module(store, augmentation=noise, workers=workers), [1])[0] for workers in (0, 1))
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    assert type(first[0].image) is torch.Tensor
    plain = epochs(module(store, augmentation=None), [1])[0]
    assert not torch.equal(first[0].image, plain[0].image)


def test_validation_and_test_are_plain_and_in_order(store):
    data = module(store)
    by_name = {case.case: case for case in store.cases}
    for loader, names in (
        (data.val_dataloader(), data.split.validation),
        (data.test_dataloader(), data.split.test),
        (data.predict_dataloader(), data.split.test),
        (data.loader("train"), data.split.train),
    ):
        for _ in range(2):
            batches = list(loader)
            assert [name for batch in batches for name in batch.case] == list(names)
            for batch in batches:
                for image, name in zip(batch.image, batch.case, strict=True):
                    assert np.array_equal(image.numpy(), by_name[name].image())


def test_an_epoch_visits_every_training_case_once(store):
    data = module(store)
    names = [name for batch in epochs(data, [5])[0] for name in batch.case]
    assert sorted(names) == sorted(data.split.train)


def test_batches_have_the_shapes_and_types_of_the_contract(store):
    batch = epochs(module(store), [0])[0][0]
    assert isinstance(batch, Batch)
    assert batch.image.shape == (2, 1, 16, 16, 16)
    assert batch.lesion_mask.shape == (2, 1, 16, 16, 16)
    assert (batch.image.dtype, batch.lesion_mask.dtype, batch.disease.dtype) == (
        torch.float32,
        torch.float32,
        torch.int64,
    )
    assert batch.has_lesion_mask.dtype == batch.has_disease.dtype == torch.bool
    assert batch.disease.shape == batch.has_lesion_mask.shape == batch.has_disease.shape == (2,)
    assert type(batch.case) is list
    assert type(batch.image) is torch.Tensor
    assert batch.image.is_contiguous()


def test_missing_labels_are_zeros_with_a_false_flag(store):
    names = [case.case for case in store.cases]
    dataset = CaseDataset(store.cases, store.classes, RandFlipRotated(1.0, 1.0, 15.0))
    batch = collate([dataset[names.index(name)] for name in ("m0", "n1", "n0", "u0")])
    assert batch.has_lesion_mask.tolist() == [False, True, False, True]
    assert batch.has_disease.tolist() == [True, True, True, False]
    assert batch.disease.tolist() == [0, 1, 1, 0]
    assert batch.lesion_mask.flatten(1).any(1).tolist() == [False, True, False, True]
    assert batch.case == ["m0", "n1", "n0", "u0"]


def test_keeping_cases_in_memory_changes_no_batch(store):
    kept = module(store, cache=True)
    loader = kept.train_dataloader()
    for case in store.cases:
        (case.folder / "image.npy").rename(case.folder / "image.moved")
    in_memory = list(loader)
    for case in store.cases:
        (case.folder / "image.moved").rename(case.folder / "image.npy")
    assert all(same(a, b) for a, b in zip(in_memory, epochs(module(store), [0])[0], strict=True))


class WritesInPlace:
    """Sets all voxels to 0 after it has kept the sums of what it was given."""

    def __init__(self) -> None:
        self.sums: list[dict[str, float]] = []

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> None:
        del seed, state

    def __call__(self, data: dict) -> dict:
        volumes = {name: entry for name, entry in data.items() if isinstance(entry, torch.Tensor)}
        self.sums.append({name: volume.double().sum().item() for name, volume in volumes.items()})
        return {name: volume.zero_() for name, volume in volumes.items()}


@pytest.mark.parametrize("cache", [False, True])
def test_an_augmentation_may_write_to_its_entries_and_gets_the_labels(store, cache):
    np.savez(store.cases[0].folder / "labels.npz", tissue=np.full((16, 16, 16), 3, np.uint8))
    before = {file: file.read_bytes() for file in store.path.rglob("*.np?")}
    dataset = CaseDataset(store.cases, store.classes, WritesInPlace())
    if cache:
        dataset.read_into_memory()
    for _ in range(2):
        assert not any(dataset[index].image.any() for index in range(len(dataset)))
    first, second = (dataset.augmentation.sums[part] for part in (slice(len(dataset)), slice(len(dataset), None)))
    assert first == second
    assert first[0]["tissue"] == 3 * 16**3
    for case, sums in zip(store.cases, first, strict=True):
        assert sums["image"] == pytest.approx(case.image().sum(dtype=float))
        assert ("lesion_mask" in sums) is case.has_lesion_mask
    assert {file: file.read_bytes() for file in before} == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted under /proc")
@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_leaves_no_file_open(store, workers):
    loader = module(store, workers=workers, batch_size=1).train_dataloader()
    for _ in loader:
        pass
    before = open_files()
    most = max(open_files() for _ in loader)
    assert open_files() == before
    assert most <= before + 2


def test_setup_can_be_repeated_and_sets_the_properties(store):
    data = module(store)
    data.setup("fit")
    split = data.split
    data.setup("test")
    assert data.split is split
    assert data.split_hash == split.split_hash
    assert (data.classes, data.in_channels, data.image_size) == (("MS", "NMOSD"), 1, (16, 16, 16))
    assert module(store, seed=8).split_hash == data.split_hash
    assert module(store, fold=2).split_hash != data.split_hash


@pytest.mark.parametrize(("train", "shares"), [(True, [4, 4, 4]), (False, [4, 4, 3])])
def test_processes_share_the_cases_and_none_is_evaluated_twice(train, shares):
    samplers = [CaseSampler(11, seed=0, train=train, rank=rank, world=3) for rank in range(3)]
    visited = [[index for _, index in sampler] for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(share) for share in visited] == shares
    everywhere = sorted(index for share in visited for index in share)
    assert set(everywhere) == set(range(11))
    assert len(everywhere) == (12 if train else 11)


def test_each_process_gets_a_case_if_there_are_more_processes_than_cases():
    samplers = [CaseSampler(2, seed=0, train=True, rank=rank, world=5) for rank in range(5)]
    assert [len(list(sampler)) for sampler in samplers] == [1] * 5


def test_fewer_validation_scans_than_processes_are_refused(store):
    data = module(store, validation_fraction=0.25)
    data.setup()
    data.trainer = SimpleNamespace(world_size=99, global_rank=0)
    with pytest.raises(ConfigError, match="the validation part of fold 1: expected a scan for each of 99 processes"):
        data.val_dataloader()


class Recorder(LightningModule):
    """Records its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.fed: dict[int, list[tuple[list[str], float]]] = {}

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        assert isinstance(batch, Batch)
        self.fed.setdefault(self.current_epoch, []).append((batch.case, batch.image.double().sum().item()))
        return (self.weight * batch.image.mean()).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(store, folder: Path, workers: int, until: int, checkpoint: Path | None = None, **changes) -> Recorder:
    recorder = Recorder()
    trainer = Trainer(
        max_epochs=until, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, default_root_dir=folder, use_distributed_sampler=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*`validation_step`.*")
        trainer.fit(recorder, module(store, workers=workers, **changes), ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / "last.ckpt")
    return recorder


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_trainer_gets_the_batches_of_an_uninterrupted_one(store, tmp_path, workers):
    whole = fit(store, tmp_path, 1 - workers, 3)
    fit(store, tmp_path, 0, 2)
    resumed = fit(store, tmp_path, workers, 3, tmp_path / "last.ckpt")
    assert list(whole.fed) == [0, 1, 2]
    assert list(resumed.fed) == [2]
    assert resumed.fed[2] == whole.fed[2]
    assert whole.fed[0] != whole.fed[1]


def test_a_trainer_without_validation_cases_trains(store, tmp_path):
    recorder = fit(store, tmp_path, 0, 1, validation_fraction=0.0, folds=Folds("random", 5))
    assert sum(len(names) for names, _ in recorder.fed[0]) == 17


def test_a_batch_moves_to_a_device_whole(store):
    batch = epochs(module(store), [0])[0][0]
    moved = Recorder().transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert isinstance(moved, Batch)
    assert moved.image.device.type == moved.has_disease.device.type == "meta"
    assert moved.case == batch.case


def sentence(kind: type[Exception], call) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_invalid_settings_and_stores_are_refused(store, tmp_path):
    assert "data.batch_size: expected a number of at least 1, found 0" in sentence(
        ConfigError, lambda: module(store, batch_size=0)
    )
    assert "found data.folds.count=99" in sentence(SplitError, module(store, folds=Folds("strict", 99)).setup)
    assert "found fold=7" in sentence(SplitError, module(store, fold=7).setup)
    assert "no such file" in sentence(StoreError, JointDataModule(tmp_path / "nothing").setup)


def test_an_invalid_case_stops_the_run_before_it_starts(store, edit_case):
    file = store.cases[1].folder / "image.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert sentence(StoreError, module(store).setup).startswith(f"{file}: expected a prepared array")
    np.save(file, np.zeros((1, 8, 8, 8), np.float32))
    edit_case(file.parent)
    assert "expected the store's shape (1, 16, 16, 16), found (1, 8, 8, 8)" in sentence(StoreError, module(store).setup)
    file.write_bytes(whole)
    edit_case(file.parent)
    module(store).setup()
    record = store.path / "store.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"classes": ["NMOSD", "ADEM"]}))
    assert "expected a disease among NMOSD, ADEM, found MS" in sentence(StoreError, module(store).setup)
