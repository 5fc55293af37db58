"""Errors of a training before it starts: one sentence, and nothing written."""

import json

import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.folds.count=9"], "fold"),
        (["fold=7"], "fold"),
        (["ablation=nothing"], "ablation/nothing"),
        (["network=unknown"], "network/unknown"),
        (["nonsense=1"], "nonsense"),
        (["data.batch_size=0"], "data.batch_size"),
        (["init_from=nowhere.ckpt"], "nowhere.ckpt"),
        (["data.folds.count=two"], "data.folds.count: expected a whole number, 0 or more, found 'two'"),
        (["data.folds.count=2.5"], "found 2.5"),
        (["seed=-1"], "seed: expected a whole number from 0 to 4294967295, found -1"),
        (["data.validation_fraction=some"], "data.validation_fraction: expected a number"),
        (["data.workers=x"], "data.workers"),
        (["network.channels=0"], "network.channels"),
        (["lesion_threshold=1"], "lesion_threshold: expected a number above 0 and below 1, found 1"),
        (["loss.cross_task_weight=-1"], "loss.cross_task_weight: expected a number, 0 or more, found -1"),
        (["optimizer.lr=-1"], "optimizer: expected valid arguments"),
        (["+optimizer.speed=3"], "speed"),
        (["+scheduler.speed=3"], "speed"),
        (["data.validation_fraction=null"], "data.validation_fraction: expected a value, found null"),
        (["lesion_threshold=null"], "lesion_threshold: expected a value, found null"),
        (["protocol.weights=bset"], "protocol.weights: expected best or last, found 'bset'"),
        (["protocol.monitor=val/lss/total"], "protocol.monitor: expected train/loss/total"),
        (["network.image_size=96"], "network.image_size: expected [16, 16, 16]"),
        (["loss.classification.class_weights=[1]"], "class_weights: expected 2 weights, for MS, NMOSD, found 1"),
        (["trainer.limit_val_batches=0"], "protocol.weights=best: expected an inner validation split"),
        (["trainer.check_val_every_n_epoch=4"], "protocol.weights=best: expected an inner validation split"),
        (
            ["protocol.weights=last", "trainer.limit_val_batches=0"],
            "protocol.monitor=val/loss/total: expected an inner",
        ),
        (
            ["protocol.monitor=val/dice"],
            "scheduler.mode: expected max for protocol.monitor=val/dice, found min",
        ),
        (
            ["scheduler=cosine", "trainer.max_epochs=null", "trainer.max_time=1:0:0:0"],
            "scheduler: expected valid arguments",
        ),
        (["optimizer.lr=inf"], "optimizer.lr: expected a finite number, found inf; correct optimizer.lr="),
        (["trainer.gradient_clip_val=nan"], "trainer.gradient_clip_val: expected a finite number, found nan"),
        (["+optimizer.betas=[0.9,inf]"], "optimizer.betas: expected a finite number, found [0.9, inf]"),
        (["trainer.max_steps=5"], "trainer.max_steps: expected none"),
        (["trainer.fast_dev_run=true"], "trainer.fast_dev_run: expected none"),
        (["trainer.logger=true"], "trainer.logger: expected none: tracking= selects the loggers, found True"),
        (
            ["trainer.precision=16-mixed"],
            "(CPUAccelerator) computes in, found 16-mixed, which Lightning replaces by bf16-mixed; set "
            "trainer.precision=bf16-mixed, or 32-true.",
        ),
        (["trainer.precision=16"], "found 16-mixed, which Lightning replaces by bf16-mixed"),
        (["trainer.max_epochs=0"], "trainer.max_epochs: expected a whole number, 1 or more, found 0"),
        (
            ["trainer.max_epoch=3"],
            "trainer.max_epoch: expected an argument of lightning.Trainer, found no argument of this name",
        ),
    ],
)
def test_wrong_settings_are_refused_before_training(train, words, message):
    assert train(*words, code=2) is None  # no run folder was created
    assert message in train.err
    assert "Traceback" not in train.err
    assert train.err.count("error:") == 1


def test_a_single_scan_is_refused_for_batch_normalisation(train, make_store, jsc, tmp_path):
    store = make_store(tmp_path / "store", side=32)
    words = (*(word for word in train.small if not word.startswith("network.")), "network=densenet121")
    code, _, err = jsc("train", f"data.store={store}", f"runs={tmp_path / 'runs'}", *words, "data.batch_size=1")
    assert (code, err.count("error:")) == (2, 1), err
    assert "data.batch_size: expected batches of two scans or more for this network at this image size" in err


def test_impossible_run_folders_are_named(train, jsc, tmp_path):
    (tmp_path / "file").write_text("")
    train(runs="file", code=2)
    assert "a writable folder" in train.err
    run = train(epochs=1)
    for words, message in (
        (("evaluate", f"run={run}", "name=../elsewhere"), "name: expected the name of a folder"),
        (("evaluate", f"run={run}", "name=.."), "name: expected the name of a folder"),
        (("evaluate", f"run={run}", "device=gpu7"), "device: expected auto, cpu or a GPU of this machine, found gpu7"),
        (("predict", "input=[]", f"checkpoint={run}", f"out={tmp_path / 'out'}"), "input: expected at least one scan"),
        (("predict", "input=a.nii", f"checkpoint={run}", f"out={tmp_path / 'file' / 'out'}"), "found a file,"),
        (("predict", "input=a.nii", f"checkpoint={run}", f"out={tmp_path / 'file'}"), "found a file,"),
    ):
        code, _, err = jsc(*words)
        assert (code, message in err, err.count("error:")) == (2, True, 1), err
    assert not (run / "evaluations").exists()
    assert not (tmp_path / "out").exists()


def test_invalid_trainer_arguments_are_one_sentence(train):
    assert train("trainer.precision=7", code=2) is None
    assert "trainer: expected arguments consistent with each other" in train.err
    assert "Precision 7 is invalid" in train.err
    assert "Traceback" not in train.err


def test_an_unfinished_or_missing_store_is_refused(train, jsc, store, tmp_path):
    code, _, err = jsc("train", f"data.store={tmp_path / 'absent'}", *train.small)
    assert (code, "absent" in err, "jsc prepare" in err) == (2, True, True)
    record = json.loads((store / "store.json").read_text())
    del record["cases"]
    (store / "store.json").write_text(json.dumps(record))
    code, _, err = jsc("train", f"data.store={store}", *train.small)
    assert (code, "unfinished" in err) == (2, True)
