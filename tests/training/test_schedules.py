"""Schedules stepped per optimiser step, and refused schedules."""

import csv
import math

import pytest

from joint_seg_cls.training import JointModule

ONE_CYCLE = "torch.optim.lr_scheduler.OneCycleLR"


def rates_of(run):
    with (run / "metrics.csv").open() as file:
        return [float(row["lr"]) for row in csv.DictReader(file)]


def test_a_schedule_of_steps_is_stepped_after_each_and_resumes(train, monkeypatch):
    words = ("scheduler=one_cycle", "scheduler.max_lr=0.05", "evaluate=false", "protocol=paper", "data.batch_size=1")
    whole = train(*words, epochs=3, runs="whole")
    total, warm_up = 3 * 4, 0.3 * 12 - 1  # steps of three epochs of four scans; of the rise

    def rate(step):
        if step <= warm_up:
            start, end, share = 0.05 / 25, 0.05, step / warm_up
        else:
            start, end, share = 0.05, 0.05 / 25 / 1e4, (step - warm_up) / (total - 1 - warm_up)
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    assert rates_of(whole) == pytest.approx([rate(0), rate(4), rate(8)], rel=1e-5)
    step = JointModule.training_step

    def dies(self, batch, batch_index):
        if self.current_epoch == 2 and batch_index == 1:
            raise MemoryError("the machine went away")
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(JointModule, "training_step", dies)
        with pytest.raises(MemoryError):
            train(*words, epochs=3, runs="killed")
    killed = train(*words, epochs=3, runs="killed")
    assert rates_of(killed) == rates_of(whole)
    with (killed / "metrics.csv").open() as ours, (whole / "metrics.csv").open() as theirs:
        for one, other in zip(csv.DictReader(ours), csv.DictReader(theirs), strict=True):
            assert one["train/loss/total"] == other["train/loss/total"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scheduler=null"], "scheduler: expected one of its options, found none; set scheduler=constant."),
        (["~scheduler"], "scheduler: expected one of its options, found none; set scheduler=constant."),
        (["~loss"], "loss: expected one of its options, found none; set loss=joint."),
        (["network/guidance=null"], "network/guidance: expected one of its options, found none; omit"),
        (["tracking=null"], "tracking: expected one of its options, found none; set tracking=none."),
        (["protocol=null"], "protocol: expected one of its options, found none; set protocol=strict."),
        (
            ["~scheduler", f"+scheduler={{_target_: {ONE_CYCLE}, _partial_: true, max_lr: 1, total_steps: 9}}"],
            "scheduler.interval: expected step or epoch for OneCycleLR, which torch recommends to step after every "
            "optimiser step, found neither; add +scheduler.interval=step.",
        ),
        (["+scheduler.interval=step"], "scheduler.interval: expected epoch for ReduceLROnPlateau"),
        (["scheduler=one_cycle", "scheduler.interval=batch"], "expected epoch or step, found 'batch'"),
        (["scheduler=one_cycle", "+scheduler.frequency=0"], "scheduler.frequency: expected a whole number, 1 or more"),
    ],
)
def test_schedules_with_an_unsuitable_interval_are_refused(train, words, message):
    assert train(*words, code=2) is None
    assert message in train.err
    assert train.err.count("error:") == 1
    assert "Traceback" not in train.err


def test_the_remedies_of_refused_schedules_work(train):
    for number, words in enumerate((("scheduler=constant",), ("scheduler=cosine", "+scheduler.interval=step"))):
        run = train(*words, "evaluate=false", epochs=1, runs=str(number))
        assert (run / "DONE").is_file()
