"""A training from the command line: its files, resuming, and errors."""

import csv
import json
import os
import pickle
import signal
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from filelock import FileLock

from joint_seg_cls.errors import CheckpointError, ConfigError
from joint_seg_cls.training import JointModule, RunFolder, read_checkpoint
from joint_seg_cls.training.callbacks import seed_network
from joint_seg_cls.training.checkpoint import WholeCheckpointIO
from joint_seg_cls.training.fit import with_synchronised_batch_norm
from joint_seg_cls.training.kept_epochs import keep


def epochs_of(run):
    """The run's numbers by epoch, without the clock."""
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in csv.DictReader(file)]


def weights_of(path):
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_run_writes_all_documented_files(train, store):
    run = train("data.validation_fraction=0.25")
    present = {path.name for path in run.iterdir()}
    assert present >= {"config.yaml", "provenance.json", "metrics.csv", "per_case.csv", "DONE", "heartbeat", "log.txt"}
    assert not present & {"FAILED"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["store"] == str(store)
    record = json.loads((run / "provenance.json").read_text())
    assert {"joint_seg_cls", "packages", "identity", "time", "cpus", "gpu"} <= record.keys()
    assert {"data_hash", "split_hash"} <= record["identity"].keys()
    rows = epochs_of(run)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for term in ("segmentation", "classification", "cross_task", "total"):
        assert all(float(row[f"train/loss/{term}"]) >= 0 and row[f"val/loss/{term}"] for row in rows)
    cases = pd.read_csv(run / "per_case.csv", dtype={"subject": str})
    expected = {"subject", "session", "fold", "disease", "p_MS", "p_NMOSD", "dsc", "ppv", "tpr", "vd", "dsc_model"}
    assert expected | {"ppv_model", "tpr_model", "vd_model", "lesions_reference", "volume_predicted_ml"} <= set(cases)
    assert len(cases) == 4
    np.testing.assert_allclose(cases["p_MS"] + cases["p_NMOSD"], 1, atol=1e-5)


@pytest.mark.slow
def test_total_is_the_weighted_sum_of_the_terms(train):
    for row in epochs_of(train(epochs=1)):
        terms = {name: float(row[f"train/loss/{name}"]) for name in ("segmentation", "classification", "cross_task")}
        total = terms["segmentation"] + 0.8 * terms["classification"] + terms["cross_task"]
        assert float(row["train/loss/total"]) == pytest.approx(total, rel=1e-4)


@pytest.mark.slow
def test_runs_started_separately_form_a_study(train, jsc, tmp_path):
    for fold in (0, 1):
        train("study=mine", "evaluate=false", f"fold={fold}", "tables=[7]" if fold == 0 else "tables=[]", epochs=1)
    code, out, err = jsc("status", "study=mine", f"runs={tmp_path / 'runs'}")
    assert (code, out.splitlines()[0]) == (0, "study mine: 2 runs, 2 done"), err
    (path,) = (tmp_path / "runs").glob("*/studies/mine.json")
    assert json.loads(path.read_text())["tables"] == ["7"]


def test_a_finished_run_is_not_trained_again(train):
    run = train(epochs=1)
    before = (run / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    train(epochs=1)
    assert "is done" in train.err
    assert (run / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("protocol", "workers"),
    [
        pytest.param("strict", 0, marks=pytest.mark.slow),
        pytest.param("paper", 0, marks=pytest.mark.slow),
        pytest.param("strict", 1, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_with_the_numbers_of_an_uninterrupted_one(train, monkeypatch, protocol, workers):
    words = (f"protocol={protocol}", "data.batch_size=1", "scheduler.patience=0", "scheduler.threshold=0.9")
    words += (f"data.workers={workers}",)
    whole = train(*words, epochs=4, runs="whole")
    step = JointModule.training_step

    def dies(self, batch, batch_index):
        if self.current_epoch == 2 and batch_index == 1:
            raise MemoryError("the machine went away")
        return step(self, batch, batch_index)

    monkeypatch.setattr(JointModule, "training_step", dies)
    with pytest.raises(MemoryError):
        train(*words, epochs=4, runs="killed")
    monkeypatch.undo()
    killed = next(whole.parents[3].glob("killed/*/*/fold-*"))
    assert "MemoryError" in (killed / "FAILED").read_text()
    assert len(epochs_of(killed)) == 2
    train(*words, epochs=4, runs="killed")
    assert "resuming" in train.err
    assert not (killed / "FAILED").exists()
    assert epochs_of(killed) == epochs_of(whole)
    assert len({row["lr"] for row in epochs_of(whole)}) > 1  # the schedule changed the rate, equally in both runs
    for name, value in weights_of(whole / "checkpoints" / "last.ckpt").items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(weights_of(killed / "checkpoints" / "last.ckpt")[name], value, rtol=0, atol=0)
    assert (killed / "per_case.csv").read_text() == (whole / "per_case.csv").read_text()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 270912")])
def test_a_checkpoint_is_written_atomically(tmp_path, monkeypatch, error):
    def save(content, file):
        file.write(b"half")
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise error  # noqa: B904 - as torch does

    path = tmp_path / "last.ckpt"
    path.write_text("before")
    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(
        CheckpointError, match="expected free space on the disk, found No space left on device; free some space"
    ):
        WholeCheckpointIO().save_checkpoint({}, path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("last.ckpt", "before")]


def test_a_damaged_checkpoint_is_named_with_a_remedy(train):
    run = train(epochs=1)
    (run / "DONE").unlink()
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    train(epochs=1, code=2)
    assert f"{last}: expected a checkpoint" in train.err
    assert "delete it" in train.err
    last.unlink()
    train(epochs=1)
    assert (run / "DONE").is_file()


@pytest.mark.slow
def test_damaged_records_of_a_run_are_named(train):
    run = train(epochs=1)
    (run / "provenance.json").write_text("")
    train(epochs=1, code=2)
    assert f"{run / 'provenance.json'}: expected the record of the run in this folder" in train.err


@pytest.mark.slow
def test_workers_do_not_change_the_result(train):
    one = train(epochs=2, runs="one")
    two = train("data.workers=2", epochs=2, runs="two")
    assert epochs_of(one) == epochs_of(two)


@pytest.mark.slow
def test_seed_changes_the_result_and_the_folder(train):
    one, two = train(epochs=1), train("seed=1", epochs=1)
    assert (one.name, two.name) == ("fold-0_seed-0", "fold-0_seed-1")
    assert epochs_of(one) != epochs_of(two)


def test_paper_protocol_validates_nothing_and_tests_the_last_weights(train):
    run = train("protocol=paper", epochs=2)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert not any(key.startswith("val/") for key in epochs_of(run)[0])
    assert "last.ckpt, epoch 2" in train.out


def test_another_configuration_is_refused_in_a_runs_folder(train, store, tmp_path):
    run = train(epochs=1)
    record = json.loads((run / "provenance.json").read_text())
    record["identity"]["optimizer.lr"] = 0.5
    (run / "provenance.json").write_text(json.dumps(record))
    train(epochs=1, code=2)
    assert "optimizer.lr = 0.01" in train.err
    assert "optimizer.lr = 0.5" in train.err


def test_a_run_is_resumed_after_ctrl_c(train, monkeypatch):
    step = JointModule.training_step

    def interrupted(self, batch, batch_index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(JointModule, "training_step", interrupted)
        run = train(epochs=2, code=130)
    assert "repeat the command to continue" in train.err
    assert not {"DONE", "FAILED"} & {path.name for path in run.iterdir()}
    assert len(epochs_of(run)) == 1
    train(epochs=2)
    assert len(epochs_of(run)) == 2
    assert (run / "DONE").is_file()


@pytest.mark.parametrize("how", ["terminated", pytest.param("exited", marks=pytest.mark.slow)])
def test_a_run_is_resumed_after_a_signal_from_the_cluster(train, monkeypatch, how):
    step = JointModule.training_step

    def stopped(self, batch, batch_index):
        if self.current_epoch == 1 and how == "terminated":
            os.kill(os.getpid(), signal.SIGTERM)  # as Slurm does
        if self.current_epoch == 1 and how == "exited":
            sys.exit(-1)  # as submitit does once it has sent the job back
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(JointModule, "training_step", stopped)
        run = train(epochs=3, code=143 if how == "terminated" else -1)
    assert not {"DONE", "FAILED", "heartbeat"} & {path.name for path in run.iterdir()}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert 1 <= len(epochs_of(run)) < 3  # the current batch is finished, and may be the last of its epoch
    train(epochs=3)
    assert [row["epoch"] for row in epochs_of(run)] == ["0", "1", "2"]
    assert "resuming" in train.err
    assert (run / "DONE").is_file()


def test_losses_are_means_over_labelled_scans(train, make_store, jsc, tmp_path):
    store = make_store(tmp_path / "store", subjects=12, no_mask=(0, 1, 6), no_disease=(3, 8))
    found = []
    for size in (1, 3):
        words = (f"runs={tmp_path / str(size)}", *train.small, "optimizer.lr=0", "data.validation_fraction=0.5")
        code, _, err = jsc(
            "train", f"data.store={store}", "trainer.max_epochs=1", *words, f"data.batch_size={size}", "evaluate=false"
        )
        assert code == 0, err
        ((row,),) = map(epochs_of, tmp_path.glob(f"{size}/*/*/fold-*"))
        of_scans = ("val/", "train/loss/segmentation", "train/loss/classification")
        found.append({name: float(value) for name, value in row.items() if name.startswith(of_scans)})
    assert found[0].keys() >= {"val/loss/segmentation", "val/loss/classification", "val/dice", *of_scans[1:]}
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(train):
    run = train(epochs=1)
    (run / "DONE").unlink()
    with FileLock(run / ".lock"):
        train(epochs=1, code=2)
    assert "no other process" in train.err
    train(epochs=1)
    assert (run / "DONE").is_file()


def test_fine_tuning_loads_matching_weights_and_names_the_others(train, make_store, tmp_path, jsc):
    first = train(epochs=1)
    other = make_store(tmp_path / "three", subjects=9, disease=("MS", "NMOSD", "MOGAD"))
    code, _, err = jsc(
        "train", f"data.store={other}", f"runs={tmp_path / 'tuned'}", "trainer.max_epochs=1", f"init_from={first}",
        *train.small, "optimizer.lr=0", "protocol=paper", "accept=[trained_on_test]",
    )  # fmt: skip
    assert code == 0, err
    assert "weights that do not match: 2 of classification" in err
    tuned = next((tmp_path / "tuned").glob("*/*/fold-*"))
    before, after = weights_of(first / "checkpoints" / "best.ckpt"), weights_of(tuned / "checkpoints" / "last.ckpt")
    fitting = [k for k, v in before.items() if isinstance(v, torch.Tensor) and v.shape == after[k].shape]
    assert len(fitting) > 20
    assert all(torch.equal(before[name], after[name]) for name in fitting)  # the learning rate was zero


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"state_dict": {}, "joint_seg_cls": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError, match="code in it"):
        read_checkpoint(tmp_path / "evil.ckpt")
    (tmp_path / "raw.ckpt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "raw.ckpt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("spoil", ["truncated", "foreign", "absent", "empty folder", "text", "other archive"])
def test_invalid_checkpoints_are_refused(tmp_path, spoil):
    path = tmp_path / "x.ckpt"
    if spoil == "truncated":
        torch.save({"state_dict": {"a": torch.zeros(1000)}}, path)
        path.write_bytes(path.read_bytes()[:500])
    elif spoil == "foreign":
        torch.save({"state_dict": {}}, path)
    elif spoil == "empty folder":
        path = tmp_path
    elif spoil == "text":  # a pickle's codes by chance: root:x:0 ...
        path.write_text("root:x:0:0:root:/root:/bin/bash\n", encoding="utf-8")
    elif spoil == "other archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "nothing")
    with pytest.raises(CheckpointError, match="expected"):
        read_checkpoint(path)


@pytest.mark.slow
def test_a_checkpoint_may_not_name_foreign_code(train, jsc, tmp_path):
    run = train(epochs=1)
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    content["joint_seg_cls"]["network"]["sharing"] = {"_target_": "os.system", "command": f"touch {tmp_path / 'owned'}"}
    torch.save(content, tmp_path / "evil.ckpt")
    code, _, err = jsc("evaluate", f"run={run}", f"checkpoint={tmp_path / 'evil.ckpt'}", "device=cpu")
    assert code == 2
    assert "os.system" in err
    assert not (tmp_path / "owned").exists()


def test_a_folder_used_by_another_run_meanwhile_is_refused_unchanged(tmp_path):
    with RunFolder(tmp_path).recording({"data_hash": "a"}, "a: 1"):
        pass
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match="data_hash"), RunFolder(tmp_path).recording({"data_hash": "b"}, "b: 1"):
        pass
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    with RunFolder(tmp_path).recording({"data_hash": "a"}, "a: 1"):
        pass


def test_a_moved_run_keeps_its_best_weights(tmp_path):
    there, here = (keep(RunFolder(tmp_path / name), "best", monitor="val/score", mode="max") for name in "ab")
    kept, score = str(tmp_path / "a" / "checkpoints" / "best.ckpt"), torch.tensor(0.7)
    there.best_model_path = there.kth_best_model_path = kept
    there.best_model_score = there.kth_value = score
    there.best_k_models = {kept: score}
    here.load_state_dict(there.state_dict())
    assert here.best_k_models == {str(tmp_path / "b" / "checkpoints" / "best.ckpt"): score}
    assert here.best_model_score == score
    assert here.best_model_path == here.kth_best_model_path == str(tmp_path / "b" / "checkpoints" / "best.ckpt")


def test_randomness_of_a_network_is_a_function_of_seed_epoch_and_process():
    def drawn(seed, epoch, rank):
        seed_network(seed, epoch, rank)
        return torch.nn.functional.dropout(torch.ones(64), 0.5).sum().item(), torch.rand(4).tolist()

    places = [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)]
    once = [drawn(*place) for place in places]
    assert [drawn(*place) for place in reversed(places)] == once[::-1]
    assert len({tuple(rest) for _, rest in once}) == 4


def test_an_epoch_without_validation_has_no_validation_numbers_and_steps_no_schedule(train):
    words = ("data.validation_fraction=0.25", "trainer.check_val_every_n_epoch=2", "protocol.weights=last")
    rows = epochs_of(train(*words, "scheduler.patience=0", epochs=4))
    assert [bool(row["val/loss/total"]) for row in rows] == [False, True, False, True]
    assert all(row["train/loss/total"] for row in rows)
    assert len({row["lr"] for row in rows}) == 1  # validated after epochs 1 and 3 only


def test_the_stored_weights_are_the_validated_ones(train):
    words = ("data.validation_fraction=0.25", "trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=2")
    run = train(*words, "evaluate=false", "data.batch_size=1", epochs=2)
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert last["global_step"] % 2 == 0  # three scans per epoch in this store, so 2, 4 and 6 are validated
    assert best["global_step"] in (2, 4, 6)


@pytest.mark.slow
def test_user_callbacks_are_called(train):
    stop = "{_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: train/loss/total, min_delta: 9, patience: 1}"
    run = train(f"trainer.callbacks=[{stop}]", "evaluate=false", epochs=4)
    assert len(epochs_of(run)) == 2


def test_batch_normalisation_over_processes_needs_gpus():
    network, other = torch.nn.Sequential(torch.nn.BatchNorm3d(2)), torch.nn.InstanceNorm3d(2)
    with pytest.raises(ConfigError, match="batch normalisation"):
        with_synchronised_batch_norm(network, 2, on_gpus=False)
    assert with_synchronised_batch_norm(other, 2, on_gpus=False) is other
    assert with_synchronised_batch_norm(network, 1, on_gpus=False) is network
    changed = with_synchronised_batch_norm(network, 2, on_gpus=True)
    assert isinstance(changed.get_submodule("0"), torch.nn.SyncBatchNorm)


def test_evaluate_tests_another_fold_or_checkpoint_without_changing_per_case(train, jsc):
    run = train("data.validation_fraction=0.25", epochs=1)
    own = (run / "per_case.csv").read_text()
    code, out, err = jsc("evaluate", f"run={run}", "device=cpu", "name=2024")
    assert code == 0, err
    assert (run / "evaluations" / "2024" / "per_case.csv").read_text() == own
    code, out, err = jsc("evaluate", f"run={run}", "fold=1", f"checkpoint={run}/checkpoints/last.ckpt", "device=cpu")
    assert code == 0, err
    assert "trained on 4 of its 4 scans" in err
    other = pd.read_csv(run / "evaluations" / "fold-1" / "per_case.csv")
    assert set(other["fold"]) == {1}
    assert not set(other["case"]) & set(pd.read_csv(run / "per_case.csv")["case"])
    assert "AUC" in out
    assert (run / "per_case.csv").read_text() == own
    for words, message in (
        (
            ("fold=1",),
            "a test of best.ckpt on fold 1, found a test of last.ckpt on fold 1; add name=",
        ),
        (("fold=1", "cohort=c.tsv"), "fold: expected none with cohort="),
    ):
        code, _, err = jsc("evaluate", f"run={run}", "device=cpu", *words)
        assert (code, message in err) == (2, True), err
    code, _, err = jsc("evaluate", f"run={run}/checkpoints/last.ckpt", "cohort=c.tsv")
    assert (code, "run: expected a run folder" in err) == (2, True), err


@pytest.mark.slow
def test_wandb_offline_writes_to_the_run_folder(train, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = train("tracking=wandb", epochs=1)
    assert list((run / "wandb").glob("offline-run-*"))
    assert (run / "metrics.csv").is_file()


@pytest.mark.slow
def test_best_score_is_the_objective_of_a_search(train):
    run = train("data.validation_fraction=0.25", epochs=2)
    assert RunFolder(run).best_score() == max(float(row["val/score"]) for row in epochs_of(run))


def test_a_resumed_run_keeps_its_number_of_threads_when_more_cores_are_idle(train, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    used = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[-1])
    for idle in (1, 2):
        monkeypatch.setattr("joint_seg_cls.commands.train.CpuUse.idle_cores", lambda _, idle=idle: idle)
        run = train("data.workers=null", epochs=1)
        assert f"idle cores: {idle} of " in train.err
        assert "threads: 1; loader processes: " in train.err
        (run / "DONE").unlink()
    assert used == [1, 1]
    assert json.loads((run / "provenance.json").read_text())["threads"] == 1
