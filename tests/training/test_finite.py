"""Non-finite numbers end a training with an error that names the scans."""

import csv

import pytest
import torch
from lightning import Callback

from joint_seg_cls.training import read_checkpoint


class Spoil(Callback):
    """Put NaN into the images of one epoch, or into a weight after its first step."""

    def __init__(self, what, epoch=1):
        self.what, self.epoch = what, epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.what == "loss" and trainer.current_epoch == self.epoch:
            batch.image[0].fill_(torch.nan)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        is_last = batch_idx == trainer.num_training_batches - 1
        if self.what == "weight" and trainer.current_epoch == self.epoch and is_last:
            with torch.no_grad():
                next(iter(pl_module.parameters())).view(-1)[0] = torch.inf

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if self.what == "validation" and trainer.current_epoch == self.epoch:
            batch.image[0].fill_(torch.nan)


@pytest.mark.parametrize(
    ("what", "message", "names"),
    [
        ("loss", "expected a finite loss, found segmentation nan", 2),
        ("weight", "expected finite weights after the optimiser's step, found NaN or infinity", 2),
        ("validation", "expected finite outputs and losses in the validation, found NaN or infinity", 1),
    ],
)
def test_a_non_finite_number_ends_the_training_with_its_scans_named(train, what, message, names):
    words = ("data.validation_fraction=0.25", "evaluate=false")
    run = train(f"trainer.callbacks=[{{_target_: {__name__}.Spoil, what: {what}}}]", *words, code=2)
    assert train.err.count("error:") == 1
    failed = (run / "FAILED").read_text()
    assert message in failed
    assert "epoch 2, scans " in failed
    assert len(failed.partition("scans ")[2].partition(":")[0].split(", ")) == names
    assert not (run / "DONE").exists()
    last = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert last.epoch == 0
    assert all(torch.isfinite(value).all() for value in last.weights.values() if isinstance(value, torch.Tensor))
    with (run / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 1


class Unlabelled(Callback):
    """Take the labels away in the second epoch."""

    def __init__(self, part):
        self.part = part

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.part == "train" and trainer.current_epoch == 1:
            batch.has_lesion_mask.fill_(False)
            batch.has_disease.fill_(False)

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if self.part == "val" and trainer.current_epoch == 1:
            batch.has_lesion_mask.fill_(False)
            batch.has_disease.fill_(False)


@pytest.mark.parametrize("part", ["train", "val"])
def test_an_epoch_without_labels_logs_no_number_and_steps_no_plateau(train, part):
    words = ("data.validation_fraction=0.25", "evaluate=false", "tracking=csv", f"protocol.monitor={part}/loss/total")
    watching = ("scheduler.patience=0", "scheduler.threshold=1e9", "+scheduler.threshold_mode=abs")
    run = train(f"trainer.callbacks=[{{_target_: {__name__}.Unlabelled, part: {part}}}]", *words, *watching)
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    of_labels = [name for name in rows[0] if name.startswith(f"{part}/") and not name.endswith("cross_task")]
    assert {f"{part}/loss/total", f"{part}/loss/segmentation", f"{part}/loss/classification"} <= set(of_labels)
    assert [[bool(row[name]) for row in rows] for name in of_labels] == [[True, False, True]] * len(of_labels)
    # epoch 0 sets the best, epoch 1 has no value, epoch 2 improves by less than the threshold: the rate is unchanged
    assert len({row["lr"] for row in rows}) == 1
    assert (run / "checkpoints" / "best.ckpt").is_file()
    with (run / "tracking" / "version_0" / "metrics.csv").open() as file:
        tracked = [name for row in csv.DictReader(file) for name, value in row.items() if value]
    assert {name: tracked.count(name) for name in of_labels} == dict.fromkeys(of_labels, 2)


def test_early_stopping_on_a_missing_number_is_one_sentence(train):
    stop = "{_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/dise}"
    train(f"trainer.callbacks=[{stop}]", "evaluate=false", epochs=1, code=2)
    assert "trainer.callbacks: expected an EarlyStopping that monitors a number logged in every epoch" in train.err
    assert train.err.count("error:") == 1
