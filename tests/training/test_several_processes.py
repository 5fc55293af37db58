"""One run trained by several processes has the numbers of one process, in one folder."""

import csv
import json

import pytest
import torch

SMALL = (
    "network.channels=4",
    "data.workers=0",
    "data/folds=file",
    "data/augmentation=flip",
    "optimizer._target_=torch.optim.SGD",  # Adam's first steps are the signs of gradients, and amplify the last digit
    "optimizer.lr=0.01",  # at 0.1 the cross-task term swings, and amplifies it too
    "trainer.accelerator=cpu",
    "trainer.max_epochs=3",
)
TWO = ("tracking=csv", "trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=1")


def rows_of(run):
    with (run / "metrics.csv").open() as file:
        return [
            {name: float(value) for name, value in row.items() if not name.startswith("seconds")}
            for row in csv.DictReader(file)
        ]


@pytest.mark.slow
def test_two_processes_have_the_numbers_of_one_with_unequal_labels(jsc, make_store, tmp_path):
    store = make_store(tmp_path / "store", subjects=12, no_mask=(0, 1, 6), no_disease=(3, 8))
    parts = {"train": range(6), "val": range(6, 9), "test": range(9, 12)}
    split = tmp_path / "split.json"
    split.write_text(json.dumps({part: [f"s{number}" for number in numbers] for part, numbers in parts.items()}))
    runs = []
    for name, words in (("one", ("tracking=none", "data.batch_size=2")), ("two", TWO)):
        code, _, err = jsc(
            "train", f"data.store={store}", f"runs={tmp_path / name}", f"data.folds.path={split}", *SMALL, *words
        )
        assert code == 0, err
        (run,) = (tmp_path / name).glob("*/*/fold-*")
        assert (run / "DONE").is_file()
        assert len(list((tmp_path / name).glob("*/*"))) == 1  # the second process has created no folder
        runs.append(run)
    one, two = map(rows_of, runs)
    assert [row["epoch"] for row in two] == [0, 1, 2]
    assert one[0].keys() == two[0].keys() >= {"train/loss/total", "val/loss/total", "val/dice", "val/auc"}
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    assert one[0]["train/loss/segmentation"] != one[-1]["train/loss/segmentation"]
    weights = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in runs]
    for name, value in weights[0].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-5)
