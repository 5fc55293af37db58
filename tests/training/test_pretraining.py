"""Training on scenes: new images in each epoch, averaged weights, and fine-tuning from the first part."""

import csv

import nibabel as nib
import numpy as np
import pytest
import torch

from joint_seg_cls.runs.load import load_predictor
from joint_seg_cls.training import JointModule, read_checkpoint

COARSE = ("image_size=[32,32,32]", "preprocess.layout.spacing_mm=6")
SMALL = (
    *("width.channels=4", "data.workers=0", "data.folds.count=2", "data.validation_fraction=0.2"),
    *("trainer.accelerator=cpu", "trainer.limit_train_batches=2", "trainer.check_val_every_n_epoch=1"),
    "data.augmentation.spacing_mm=6",
)


def head():
    """Return a coarse head of ellipsoids with FreeSurfer's numbers, in voxels of 2 mm."""
    x, y, z = np.meshgrid(*(2.0 * (np.arange(n) - n / 2) for n in (60, 74, 60)), indexing="ij")

    def ball(centre, radii):
        return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True)) < 1

    labels = np.zeros(x.shape, np.int16)
    for number, radii in ((24, (56, 70, 56)), (3, (52, 66, 52)), (2, (46, 60, 46))):
        labels[ball((0, 0, 0), radii)] = number
    labels[ball((-10, 0, 8), (7, 30, 10)) | ball((10, 0, 8), (7, 30, 10))] = 4
    labels[ball((0, -10, -40), (10, 10, 14))] = 16
    return labels


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("scenes")
    (folder / "maps").mkdir()
    nib.save(nib.Nifti1Image(head(), np.diag([2.0, 2.0, 2.0, 1.0])), folder / "maps" / "head.nii.gz")
    words = ("phantom=randomised", "anatomy=label_maps", f"path={folder / 'maps'}", f"store={folder / 'store'}")
    main(["phantom", *words, "subjects=8", "workers=0", *COARSE])
    return folder / "store"


@pytest.fixture
def train(jsc, scenes, tmp_path):
    def run(experiment, *words, epochs=2, runs="runs"):
        patch = () if experiment in ("pretrain_joint", "pretrain_whole") else ("data.augmentation.patch=[32,32,32]",)
        where = (f"data.store={scenes}", f"runs={tmp_path / runs}", f"trainer.max_epochs={epochs}")
        code, _, output = jsc("train", f"experiment={experiment}", *where, *SMALL, *patch, *words)
        assert code == 0, output
        return next((tmp_path / runs).glob("*/joint*/fold-0_seed-0"))

    return run


def losses(run):
    with (run / "metrics.csv").open() as file:
        return [row["train/loss/segmentation"] for row in csv.DictReader(file)]


def test_the_second_part_starts_from_the_first(train):
    first = train("pretrain", epochs=1)
    assert len(losses(first)) == 1
    found = read_checkpoint(first)
    assert found.recipe.window == (32, 32, 32)
    assert not found.recipe.ranges, "scenes have the voxels of no scanner"
    second = train("pretrain_joint", f"init_from={first}", epochs=1, runs="second")
    names = set(read_checkpoint(second).weights)
    assert set(found.weights) < names
    assert any(name.startswith("classification") for name in names - set(found.weights))


def test_whole_images_continue_the_training_on_patches(train):
    first = train("pretrain", "evaluate=false", epochs=1)
    second = train("pretrain_whole", "evaluate=false", f"init_from={first}", epochs=1, runs="second")
    found = read_checkpoint(second)
    assert found.recipe.window is None
    assert set(found.weights) == set(read_checkpoint(first).weights)


def test_prepared_scans_are_refused_before_a_run_is_written(jsc, store, tmp_path):
    where = (f"data.store={store}", f"runs={tmp_path / 'runs'}", "data.folds.count=2")
    code, _, output = jsc("train", "experiment=pretrain", *where, "data.workers=1", "trainer.accelerator=cpu")
    assert code == 2
    assert "expected a store of simulated cases with their labels" in output
    assert "Traceback" not in output
    assert not (tmp_path / "runs").exists()


def test_few_scans_are_learned_in_patches_from_earlier_weights(jsc, train, scenes, tmp_path):
    first = train("pretrain", "evaluate=false", epochs=1)
    words = ("experiment=finetune", "fold=1", "window=[32,32,32]", f"data.store={scenes}", f"runs={tmp_path / 'few'}")
    few = [word for word in SMALL if "augmentation" not in word]
    code, _, output = jsc(
        "train", *words, *few, f"init_from={first}", "trainer.max_epochs=1", "accept=[trained_on_test]"
    )
    assert code == 0, output
    run = next((tmp_path / "few").glob("*/joint*/fold-1_seed-0"))
    assert read_checkpoint(run).recipe.window == (32, 32, 32)
    assert load_predictor(run, device="cpu")[0].window == (32, 32, 32)


@pytest.mark.slow
def test_the_moving_average_is_stored_and_survives_an_interruption(train, monkeypatch):
    whole = train("pretrain", epochs=3, runs="whole")
    content = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    name = "network.segmentation.outputs.3.bias"
    assert content["state_dict"][name] != content["current_model_state"][name]
    step = JointModule.training_step

    def dies(self, batch, batch_index):
        if self.current_epoch == 2:
            raise MemoryError("the machine went away")
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(JointModule, "training_step", dies)
        with pytest.raises(MemoryError):
            train("pretrain", epochs=3, runs="killed")
    killed = train("pretrain", epochs=3, runs="killed")
    assert losses(killed) == losses(whole)
    ends = [read_checkpoint(run).weights for run in (whole, killed)]
    for key, value in ends[0].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(ends[1][key], value, rtol=0, atol=0)
