"""Job slots: one job per slot, no idle slot while jobs wait, and no job outlives the program."""

import json
import os
import signal
import sys
import threading
import time

import pytest

from joint_seg_cls.config.resolvers import visible_gpus
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.sweep.local import LocalLauncher
from joint_seg_cls.sweep.slots import CORES, Job, Slot, machine_slots, run_in_slots

TELLS = """
import json, os, sys, time
began = time.monotonic()
time.sleep(float(sys.argv[1]))
gpus = os.environ["CUDA_VISIBLE_DEVICES"]
print(json.dumps({"gpus": gpus, "began": began, "ended": time.monotonic(), "torch": "torch" in sys.modules}))
sys.exit(int(sys.argv[2]))
"""


def job(folder, name, seconds, code=0, program=TELLS):
    return Job(name, [sys.executable, "-S", "-c", program, str(seconds), str(code)], folder / f"{name}.txt")


def test_jobs_of_unequal_length_never_share_a_slot_and_fill_every_slot(tmp_path):
    slots = machine_slots(["5", "7"], gpus_per_job=1, slots_per_gpu=2, workers=1)
    jobs = [job(tmp_path, f"job{n}", seconds) for n, seconds in enumerate([0.8, 0.02, 0.3, 0.02, 0.1, 0.02, 0.2, 0.02])]
    at, most = {}, 0
    used = {}

    def on_start(started, slot):
        assert slot.name not in at.values()
        at[started.name] = used[started.name] = slot.name
        nonlocal most
        most = max(most, len(at))

    codes = run_in_slots(jobs, slots, on_start=on_start, on_end=lambda ended, _: at.pop(ended.name))
    assert codes == [0] * 8
    assert most == 4
    assert set(used.values()) == {"GPU 5 slot 0", "GPU 7 slot 0", "GPU 5 slot 1", "GPU 7 slot 1"}
    reported = {each.name: json.loads(each.log.read_text()) for each in jobs}
    for name, slot in used.items():
        assert reported[name]["gpus"] == slot.split()[1]
        assert not reported[name]["torch"]
        others = [reported[other] for other in used if other != name and used[other] == slot]
        assert all(o["ended"] <= reported[name]["began"] or o["began"] >= reported[name]["ended"] for o in others)
    assert used["job1"] != used["job0"]
    assert list(used.values()).count(used["job0"]) < 3  # the longest kept its slot, the others went round it


def test_a_failed_job_does_not_stop_others_and_its_code_is_returned(tmp_path):
    jobs = [job(tmp_path, "good", 0), job(tmp_path, "bad", 0, 3), job(tmp_path, "later", 0)]
    ended = []
    slots = [Slot("worker 0")]
    codes = run_in_slots(jobs, slots, on_start=lambda *_: None, on_end=lambda e, code: ended.append((e.name, code)))
    assert codes == [0, 3, 0]
    assert ended == [("good", 0), ("bad", 3), ("later", 0)]


def test_ctrl_c_interrupts_every_job_and_waits_for_it(tmp_path):
    tidy = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "Path(sys.argv[1]).touch()\n"
        "try:\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(0.2)\n"
        "    print('tidied up')\n"
    )
    marks = [tmp_path / "a", tmp_path / "b"]
    jobs = [Job(m.name, [sys.executable, "-S", "-u", "-c", tidy, str(m)], tmp_path / f"{m.name}.txt") for m in marks]

    def interrupt():
        while not all(mark.exists() for mark in marks):
            time.sleep(0.02)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    listening = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_in_slots(jobs, [Slot("0"), Slot("1")], on_start=lambda *_: None, on_end=lambda *_: None)
    signal.signal(signal.SIGINT, listening)
    assert [each.log.read_text().strip() for each in jobs] == ["tidied up"] * 2


@pytest.mark.parametrize(
    ("gpus", "counts", "expected"),
    [
        (["0", "2"], (1, 1, 3), [("GPU 0", ("0",)), ("GPU 2", ("2",))]),
        (["0", "2"], (1, 2, 1), [("GPU 0 slot 0", ("0",)), ("GPU 2 slot 0", ("2",)),
                                 ("GPU 0 slot 1", ("0",)), ("GPU 2 slot 1", ("2",))]),
        (["0", "1", "2", "3", "4"], (2, 1, 1), [("GPU 0+1", ("0", "1")), ("GPU 2+3", ("2", "3"))]),
        ([], (1, 1, 2), [("worker 0", ()), ("worker 1", ())]),
    ],
)  # fmt: skip
def test_a_machine_has_the_configured_slots(gpus, counts, expected):
    per_job, per_gpu, workers = counts
    slots = machine_slots(gpus, gpus_per_job=per_job, slots_per_gpu=per_gpu, workers=workers)
    assert [(slot.name, slot.gpus) for slot in slots] == expected
    assert [slot.environment()["CUDA_VISIBLE_DEVICES"] for slot in slots] == [",".join(g) for _, g in expected]


def test_slots_have_separate_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 8, 9, 10}, raising=False)
    slots = machine_slots([], gpus_per_job=1, slots_per_gpu=1, workers=3)
    assert [slot.environment()[CORES] for slot in slots] == ["0,1", "2,3", "8,9"]


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (3, 1, 1), (2, 2, 1)])
def test_settings_without_a_slot_are_refused(counts):
    per_job, per_gpu, workers = counts
    with pytest.raises(ConfigError, match="correct these settings"):
        machine_slots(["0", "1"], gpus_per_job=per_job, slots_per_gpu=per_gpu, workers=workers)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("3, 5", ["3", "5"]),
        ("", []),
        ("-1", []),
        ("GPU-ab12", ["GPU-ab12"]),
        ("0,0,1", ["0", "1"]),
        ("2,-1,1", ["2"]),
        ("NoDevFiles", []),
    ],
)
def test_only_visible_gpus_are_used(monkeypatch, named, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected


def test_invisible_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert LocalLauncher(["5"], 1, 1, 1, "logs")._chosen() == ["5"]
    with pytest.raises(ConfigError, match="some of the GPUs 4, 5"):
        LocalLauncher([0, 5], 1, 1, 1, "logs")._chosen()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert LocalLauncher([0, 9], 1, 1, 1, "logs")._chosen() == ["0", "9"]


def test_a_gpu_named_twice_is_refused():
    with pytest.raises(ConfigError, match="each GPU once"):
        machine_slots(["0", "0"], gpus_per_job=1, slots_per_gpu=1, workers=1)
