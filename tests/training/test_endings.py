"""Final changes by callbacks are tested, and made once even if the run is interrupted."""

import csv
import importlib

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import StochasticWeightAveraging

from joint_seg_cls.training import JointModule, read_checkpoint

CALLBACKS = "lightning.pytorch.callbacks"
SWA = f"{{_target_: {CALLBACKS}.StochasticWeightAveraging, swa_lrs: 0.02, swa_epoch_start: 2, annealing_epochs: 2}}"
EMA = f"{{_target_: {CALLBACKS}.EMAWeightAveraging, decay: 0.5}}"
STOP = f"{{_target_: {CALLBACKS}.EarlyStopping, monitor: train/loss/total, min_delta: 9, patience: 1}}"
HALVE = f"{{_target_: {__name__}.Halve}}"
QUICK = ("evaluate=false", "data.batch_size=1", "trainer.limit_train_batches=2")


class Halve(Callback):
    """Halve the weights when all is over."""

    def on_fit_end(self, trainer, pl_module):
        with torch.no_grad():
            for weight in pl_module.parameters():
                weight.mul_(0.5)


def rows_of(run):
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in csv.DictReader(file)]


def weights_of(run):
    """The weights that a test would read."""
    return {name: value for name, value in read_checkpoint(run).weights.items() if isinstance(value, torch.Tensor)}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def die(*_, **__):
    raise MemoryError("the machine went away")


def interrupt(monkeypatch, when):
    """Let the next training end in the middle of its third epoch, in its end, before the end is kept, or after it."""
    step = JointModule.training_step
    if when == "epoch":
        patched = lambda self, *batch: die() if self.current_epoch == 2 else step(self, *batch)  # noqa: E731
        monkeypatch.setattr(JointModule, "training_step", patched)
    if when == "end":
        monkeypatch.setattr(JointModule, "on_train_end", die)
    if when == "kept":
        monkeypatch.setattr(importlib.import_module("joint_seg_cls.training.fit"), "keep_the_end", die)
    if when == "test":
        monkeypatch.setattr("joint_seg_cls.training.RunFolder.finish", die)


@pytest.mark.parametrize(
    ("callback", "protocol", "moments"),
    [
        pytest.param(SWA, "paper", ("end",), marks=pytest.mark.slow),
        pytest.param(HALVE, "strict", ("test",), marks=pytest.mark.slow),
        pytest.param(SWA, "paper", ("epoch", "test"), marks=pytest.mark.slow),
        pytest.param(SWA, "strict", ("kept",), marks=pytest.mark.slow),
        pytest.param(EMA, "paper", ("epoch",), marks=pytest.mark.slow),
        pytest.param(EMA, "strict", ("epoch", "end", "test"), marks=pytest.mark.slow),
        pytest.param(HALVE, "strict", ("kept",), marks=pytest.mark.slow),
    ],
    ids=["swa", "own", "swa-more", "swa-best", "ema", "ema-best", "own-more"],
)
def test_final_changes_by_a_callback_are_tested_and_survive_a_kill(train, monkeypatch, callback, protocol, moments):
    words = (f"trainer.callbacks=[{callback}]", f"protocol={protocol}", *QUICK)
    averages = []
    end = StochasticWeightAveraging.on_train_end

    def noted(self, *args):
        end(self, *args)
        averages.append({name: value.clone() for name, value in self._average_model.network.named_parameters()})

    with monkeypatch.context() as patch:
        patch.setattr(StochasticWeightAveraging, "on_train_end", noted)
        whole = train(*words, epochs=4, runs="whole")
    if callback == SWA:
        assert averages[0].keys() <= weights_of(whole).keys()
        assert all(torch.equal(weights_of(whole)[name], value) for name, value in averages[0].items())
    for when in moments:
        with monkeypatch.context() as patch:
            interrupt(patch, when)
            with pytest.raises(MemoryError):
                train(*words, epochs=4, runs=when)
        killed = train(*words, epochs=4, runs=when)
        assert rows_of(killed) == rows_of(whole)
        assert_same(weights_of(killed), weights_of(whole))
        assert (killed / "DONE").is_file()
        assert len(rows_of(killed)) == 4


@pytest.mark.parametrize("when", ["kept", pytest.param("test", marks=pytest.mark.slow)])
def test_an_early_stopped_run_is_not_continued(train, monkeypatch, when):
    words = (f"trainer.callbacks=[{STOP}]", "protocol=paper", *QUICK)
    with monkeypatch.context() as patch:
        interrupt(patch, when)
        with pytest.raises(MemoryError):
            train(*words, epochs=6)
    run = train(*words, epochs=6)
    assert [row["epoch"] for row in rows_of(run)] == ["0", "1"]
    assert read_checkpoint(run).epoch == 1


@pytest.mark.slow
def test_averaging_missed_by_an_early_stop_is_reported(train):
    train(f"trainer.callbacks=[{STOP},{SWA}]", "protocol=paper", *QUICK, epochs=4)
    assert "StochasticWeightAveraging averages only in the last of trainer.max_epochs=4 epochs" in train.err


@pytest.mark.parametrize("name", ["OnExceptionCheckpoint, dirpath: x"])
def test_callbacks_unsuitable_for_resumable_runs_are_refused(train, name):
    assert train(f"trainer.callbacks=[{{_target_: {CALLBACKS}.{name}}}]", code=2) is None
    assert f"found {name.partition(',')[0]}" in train.err
    assert train.err.count("error:") == 1
