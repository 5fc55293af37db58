"""Files of a training can be read back; damaged tables and full disks are one sentence without loss of results."""

import errno
import importlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback

from joint_seg_cls.errors import ConfigError, DiskError
from joint_seg_cls.training import RunFolder, read_checkpoint, run_folder
from joint_seg_cls.training.archive import read_archive
from joint_seg_cls.training.checkpoint import WholeCheckpointIO
from joint_seg_cls.training.checkpoint_values import is_plain

RECIPE = {"joint_seg_cls": {"format": 1}, "state_dict": {}, "epoch": 0}
SMALL = (
    *("network.channels=4", "tracking=none", "data.workers=0", "data.folds.count=2", "trainer.accelerator=cpu"),
    *("evaluate=false", "protocol=paper", "trainer.limit_train_batches=1"),
)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        ({np.int64(1): [np.float32(0.25), (np.arange(3), None)]}, {1: [0.25, (torch.arange(3), None)]}),
        (np.eye(2, dtype=">f4"), torch.eye(2)),
    ],
)
def test_numbers_of_numpy_in_a_callbacks_state_can_be_read_back(tmp_path, state, expected):
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint(RECIPE | {"callbacks": {"Mine": {"seen": state}}}, path)
    read_archive(path)
    found = torch.load(path, weights_only=True)["callbacks"]["Mine"]["seen"]
    assert repr(found) == repr(expected)


class Odd:
    """Something that is no plain value."""


class OwnTensor(torch.Tensor):
    """A tensor of a class of one's own."""


def with_attribute():
    tensor = torch.ones(2)
    tensor.note = Odd()
    return tensor


def nested():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.Conv3d(1, 2, 1).state_dict(),
        {"optimiser": [(1, 2.0, None, True, "a"), torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))]},
        {1: OrderedDict(a=[]), (2, "b"): torch.zeros(0, dtype=torch.bool)},
    ],
)
def test_plain_values_are_read_without_executing_code(tmp_path, value):
    assert is_plain(value)
    torch.save(value, tmp_path / "x.ckpt")
    torch.load(tmp_path / "x.ckpt", weights_only=True)


@pytest.mark.parametrize(
    "value",
    [
        Odd(), {"a": {Odd(): 1}}, OwnTensor(), with_attribute(), nested(), torch.ones(2).to_sparse(), np.float32(1),
        torch.ones(2, device="meta"), {1}, Path("x"), type("D", (dict,), {})(a=1),
    ],
)  # fmt: skip
def test_other_values_are_not_plain(value):
    assert not is_plain(value)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (Odd(), "Odd"),
        (Path("x"), "PosixPath"),
        (lambda: 0, "function"),
        ([{"deep": np.array(["a"], dtype=object)}], "numpy.ndarray"),
        (np.datetime64("2024-01-01"), "numpy.datetime64"),
    ],
)
def test_unreadable_callback_state_is_not_written_and_its_callback_reported(tmp_path, state, kind):
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint(RECIPE, path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"the state of the callback Mine: expected tensors, plain numbers") as error:
        WholeCheckpointIO().save_checkpoint(RECIPE | {"callbacks": {"Good": {}, "Mine": {"seen": state}}}, path)
    assert kind in error.value.found
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


class Keeps(Callback):
    """Keep a number of NumPy, and from the second epoch on what is no plain value."""

    def __init__(self):
        self.epochs = 0

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs = trainer.current_epoch

    def state_dict(self):
        return {"seen": np.float64(0.5) if self.epochs == 0 else Odd()}


def test_a_run_with_unreadable_callback_state_keeps_the_last_good_checkpoint(jsc, store, tmp_path):
    words = (f"trainer.callbacks=[{{_target_: {__name__}.Keeps}}]", "trainer.max_epochs=3")
    code, _, err = jsc("train", f"data.store={store}", f"runs={tmp_path / 'runs'}", *SMALL, *words)
    assert (code, err.count("error:")) == (2, 1), err
    assert "the state of the callback Keeps: expected tensors" in err
    (run,) = (tmp_path / "runs").glob("*/*/fold-*")
    assert read_checkpoint(run).epoch == 0
    assert not (run / "DONE").exists()


@pytest.mark.parametrize("damage", [b"\x00\xff\xfe,\n", pytest.param(None, marks=pytest.mark.slow)])
def test_a_damaged_table_of_epochs_is_rewritten_without_losing_an_epoch(jsc, store, tmp_path, monkeypatch, damage):
    command = ("train", f"data.store={store}", f"runs={tmp_path / 'runs'}", *SMALL, "trainer.max_epochs=2")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("joint_seg_cls.training.fit"), "keep_the_end", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            jsc(*command)
    (run,) = (tmp_path / "runs").glob("*/*/fold-*")
    table = run / "metrics.csv"
    whole = table.read_bytes()
    for _ in ("interrupted", "trained"):
        if damage is None:
            table.unlink()
        else:
            table.write_bytes(damage)
        code, _, err = jsc(*command)
        assert code == 0, err
        assert table.read_bytes() == whole
        (run / "DONE").unlink()


def test_a_damaged_table_of_a_finished_run_is_reported_with_a_remedy(tmp_path):
    run = RunFolder(tmp_path)
    for text in (b"epoch,val/score\n0,much\n", b"epoch,val/score\n\xff\xfe,1\n"):
        run.metrics.write_bytes(text)
        with pytest.raises(
            ConfigError, match=r"metrics\.csv: expected a table with one row of numbers per epoch, found a damaged"
        ):
            run.best_score()
    run.metrics.write_text("epoch,val/score\n0,0.25\n1,\n2,nan\n")
    assert run.best_score() == 0.25


def start(folder):
    """Do what a training writes before its first epoch."""
    with RunFolder(folder).recording({"data_hash": "a"}, "a: 1"):
        run_folder.write_text(folder / "audit.txt", "")
        run_folder.write_text(folder / "more.txt", "")


@pytest.mark.parametrize("nth", range(4))
def test_a_full_disk_at_the_start_of_a_training_is_one_sentence_and_the_run_can_be_repeated(tmp_path, monkeypatch, nth):
    writes = []
    write = Path.write_text

    def full(self, *args, **kwargs):
        writes.append(self)
        if len(writes) > nth:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(
            DiskError, match=r"expected free space on the disk, found No space left on device; free some space"
        ):
            start(tmp_path)
    assert not list(tmp_path.rglob(".partial-*"))
    with RunFolder(tmp_path).recording({"data_hash": "a"}, "a: 1"):
        pass
    assert not (tmp_path / "FAILED").exists()
