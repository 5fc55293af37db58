"""Checkpoints that are averaged: which ones may be, and what is recorded of them."""

import shutil

import pytest

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.inference import Ensemble
from joint_seg_cls.runs.model import load_model

OTHERS = {
    "classes": ({"classes": ["MS", "NMOSD", "HC"]}, "the same classes, MS, NMOSD, found MS, NMOSD, HC"),
    "modalities": ({"channels": 2}, "the same modalities, flair, found flair, t1"),
    "preprocessing": ({"preprocess_format": 1}, "the same preprocessing, that of the first checkpoint, found another"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_members_that_do_not_fit_together_are_refused(write_checkpoint, tmp_path, what):
    change, says = OTHERS[what]
    first = write_checkpoint(tmp_path / "a.ckpt")
    second = write_checkpoint(tmp_path / "b.ckpt", **{"seed": 1, **change})
    with pytest.raises(CheckpointError, match=says) as met:
        load_model([first, second], device="cpu")
    assert met.value.where == str(second)


def test_a_copy_of_a_member_is_refused(write_checkpoint, tmp_path):
    first = write_checkpoint(tmp_path / "a.ckpt")
    second = shutil.copy(first, tmp_path / "b.ckpt")
    with pytest.raises(CheckpointError, match="an ensemble of different networks"):
        load_model([first, second], device="cpu")


def test_the_finished_runs_of_a_folder_are_one_model_with_one_card(write_checkpoint, tmp_path, caplog):
    for fold in range(3):
        run = tmp_path / "joint" / f"fold-{fold}_seed-0"
        write_checkpoint(run / "checkpoints" / "best.ckpt", seed=fold, lesion_threshold=0.4 + 0.1 * fold)
        if fold < 2:
            (run / "DONE").touch()
    model = load_model([tmp_path / "joint"], device="cpu", views="flips")
    assert isinstance(model.predictor, Ensemble)
    assert "unfinished runs, not used: fold-2_seed-0" in caplog.text
    card = model.card
    assert card["trained_on"] == {"collection": "store", "fold": [0, 1], "seed": 0, "data_hash": "d"}
    assert (card["variant"], card["epoch"], card["views"]) == ("joint", 3, "flips")
    assert card["lesion_threshold"] == pytest.approx(0.45)
    alone = load_model([tmp_path / "joint" / "fold-0_seed-0"], device="cpu")
    assert alone.card["sha256"] == card["members"][0]["sha256"] != card["sha256"]
    assert not isinstance(alone.predictor, Ensemble)
    for run in (tmp_path / "joint").glob("*/DONE"):
        run.unlink()
    with pytest.raises(CheckpointError, match="expected a finished run, found 3 unfinished ones"):
        load_model([tmp_path / "joint"], device="cpu")
