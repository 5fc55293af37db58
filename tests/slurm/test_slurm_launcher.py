"""Sweeps on a real Slurm: parallel jobs, requeued jobs, one run on two nodes."""

import csv
import re
import time

import pytest
import torch

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

TOY = (
    "experiment=toy",
    "protocol=paper",
    "data.folds.count=2",
    "data.workers=0",
    "tracking=none",
    "trainer.accelerator=cpu",
)
#: The nodes are small, and their GPUs are not there.
JOB = ("hydra.launcher.cpus_per_task=1", "hydra.launcher.gpus_per_node=null")


@pytest.fixture
def store(make_store, tmp_path):
    return make_store(tmp_path / "store", side=32)


def rows_of(run):
    with (run / "metrics.csv").open() as file:
        return [
            {name: float(value) for name, value in row.items() if not name.startswith("seconds")}
            for row in csv.DictReader(file)
        ]


def weights_of(run):
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def test_two_slurm_jobs_are_run_once(sweep, store, tmp_path, jsc, slurm):
    runs = tmp_path / "a folder with = and [brackets]"
    words = (f"data.store={store}", f"runs={runs}", *TOY, "trainer.max_epochs=1", "fold=0,1")
    has_gpus = any("gpu" in each for each in slurm("sinfo", "--noheader", "--format=%G"))
    first = sweep(*words, *(JOB[:1] if has_gpus else JOB))
    assert first.wait() == 0, (tmp_path / "sweep-0.txt").read_text()
    done = sorted(runs.glob("*/*/fold-*"))
    assert [run.name for run in done] == ["fold-0_seed-0", "fold-1_seed-0"]
    assert all((run / "DONE").is_file() for run in done)
    logs = runs / "store" / "studies" / "logs" / "slurm"
    assert len(list(logs.glob("*/*_log.out"))) == 2
    code, _, err = jsc("train", "-m", "hydra/launcher=slurm", *words)
    assert code == 0
    assert "2 runs, 2 already done" in err
    assert len(list(logs.glob("*/*_log.out"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "stop",
    [
        ("scancel", "--signal=USR2"),  # Slurm's warning before the time limit
        ("scontrol", "requeue"),  # preemption
    ],
    ids=["time limit", "preempted"],
)
def test_a_requeued_job_has_the_numbers_of_an_uninterrupted_one(sweep, store, tmp_path, jsc, slurm, stop):
    words = (f"data.store={store}", *TOY, "trainer.max_epochs=20", "fold=0")
    process = sweep(*words, f"runs={tmp_path / 'stopped'}", *JOB)
    while not (found := list(tmp_path.glob("stopped/*/*/fold-*/checkpoints/last.ckpt"))):
        assert process.poll() is None, (tmp_path / "sweep-0.txt").read_text()
        time.sleep(0.05)
    (job,) = slurm("squeue", "--noheader", "--name=jsc", "--format=%i")
    slurm(*stop, job)
    stopped = found[0].parents[1]
    assert process.wait() == 0, (tmp_path / "sweep-0.txt").read_text()
    output = (stopped / "log.txt").read_text()
    assert output.count("interrupted; the same command resumes") == 1
    assert output.count("resuming") == 1
    assert re.search(r"training: epoch ([2-9]|\d\d) of 20", output)
    assert jsc("train", *words, f"runs={tmp_path / 'whole'}")[0] == 0
    (whole,) = tmp_path.glob("whole/*/*/fold-*")
    assert rows_of(stopped) == rows_of(whole)
    assert len(rows_of(whole)) == 20
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(stopped)[name], value, rtol=0, atol=0)
    assert (stopped / "per_case.csv").read_text() == (whole / "per_case.csv").read_text()


@pytest.mark.slow
def test_a_run_on_two_nodes_has_the_numbers_of_one_process(sweep, store, tmp_path, jsc, slurm):
    if len(set(slurm("sinfo", "--noheader", "--Node", "--format=%N"))) < 2:
        pytest.skip("Slurm has one node")
    words = (
        f"data.store={store}",
        *TOY,
        "optimizer._target_=torch.optim.SGD",
        "optimizer.lr=0.01",
        "trainer.max_epochs=3",
        "data.validation_fraction=0",  # four scans to train on: as many for each process
        "fold=0",
    )
    two = ("trainer.num_nodes=2", "trainer.strategy=ddp", "data.batch_size=1", *JOB)
    assert sweep(*words, f"runs={tmp_path / 'two'}", *two).wait() == 0, (tmp_path / "sweep-0.txt").read_text()
    assert jsc("train", *words, f"runs={tmp_path / 'one'}", "data.batch_size=2")[0] == 0
    (ours,), (theirs,) = tmp_path.glob("two/*/*/fold-*"), tmp_path.glob("one/*/*/fold-*")
    assert len(rows_of(ours)) == 3
    for own, other in zip(rows_of(ours), rows_of(theirs), strict=True):
        assert own == pytest.approx(other, rel=1e-4, abs=1e-6)
    for name, value in weights_of(theirs).items():
        torch.testing.assert_close(weights_of(ours)[name], value, rtol=1e-3, atol=1e-5)
