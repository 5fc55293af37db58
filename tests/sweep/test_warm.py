"""Jobs as forks of a process with imported packages: as separate as new interpreters."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from joint_seg_cls.sweep.slots import CORES, Job, Slot, run_in_slots, start_fresh
from joint_seg_cls.sweep.warm import starter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux only")
#: In place of the job of a sweep: a fork runs the program in its folder.
PROBE = """
from pathlib import Path
from joint_seg_cls.sweep import job

def main(arguments):
    exec(Path(arguments[0], "program.py").read_text(), {"folder": Path(arguments[0])})
    return 0

job.main = main
"""
WORKERS = (Slot("worker 0"), Slot("worker 1"))
STATE = """
import json, os, sys
print("job", folder.name)
state = {"pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "warm": "probe" in sys.modules}
state |= {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "JSC_CORES")}
(folder / "state.json").write_text(json.dumps(state))
"""


@pytest.fixture(autouse=True)
def _probe(tmp_path, monkeypatch):
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


def jobs(folder, *programs):
    found = []
    for number, program in enumerate(programs):
        own = folder / str(number)
        own.mkdir()
        (own / "program.py").write_text(program)
        fresh = [sys.executable, "-c", "import sys, probe; sys.exit(probe.main(sys.argv[1:]))", str(own)]
        found.append(Job(str(number), fresh, folder / "logs" / f"{number}.txt"))
    return found


def run(folder, *programs, slots=WORKERS):
    given = jobs(folder, *programs)
    with starter(slots, len(given), ["probe"]) as start:
        return run_in_slots(given, slots, on_start=lambda *_: None, on_end=lambda *_: None, start=start)


def states(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/state.json"))]


def test_each_job_is_a_fork_with_its_own_session_variables_and_log(tmp_path):
    slots = [Slot("worker 0", cores=(0,)), Slot("worker 1", cores=(1,))]
    assert run(tmp_path, *[STATE] * 4, slots=slots) == [0] * 4
    found = states(tmp_path)
    assert len({state["pid"] for state in found}) == 4
    assert len({state["parent"] for state in found} - {os.getpid()}) == 1
    assert all(state["session"] == state["pid"] and state["warm"] for state in found)
    assert {(state["CUDA_VISIBLE_DEVICES"], state[CORES]) for state in found} == {("", "0"), ("", "1")}
    assert [(tmp_path / "logs" / f"{n}.txt").read_text() for n in range(4)] == [f"job {n}\n" for n in range(4)]


def test_a_fork_shares_the_imports_and_runs_exit_handlers_before_it_ends(tmp_path):
    program = (
        "import atexit, gc, threading, time\n"
        "class Kept:\n"
        "    def __del__(self):\n"
        "        print('deleted')\n"
        "sys.kept = Kept()\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
        "atexit.register(print, 'handler')\n"
        "print(gc.get_freeze_count() > 1000)\n"
    )
    assert run(tmp_path, "import sys\n" + program, "import sys\n" + program) == [0, 0]
    assert (tmp_path / "logs" / "0.txt").read_text().split() == ["True", "thread", "handler"]


def test_a_job_that_fails_or_is_killed_does_not_stop_others(tmp_path):
    killed = "import os; os.kill(os.getpid(), 9)"
    codes = run(tmp_path, "raise SystemExit(3)", killed, "1 / 0", STATE)
    assert codes == [3, -9, 1, 0]
    assert "ZeroDivisionError" in (tmp_path / "logs" / "2.txt").read_text()


def test_new_interpreters_take_over_when_the_forking_process_has_ended(tmp_path):
    ends = "import os, time; os.kill(os.getppid(), 9); time.sleep(0.3)\n"
    codes = run(tmp_path, ends + STATE, STATE, slots=[Slot("worker 0")])
    assert codes[1] == 0
    first, second = states(tmp_path)
    assert first["warm"]
    assert second["parent"] == os.getpid()


def test_ctrl_c_interrupts_a_fork_and_waits_for_it(tmp_path):
    tidy = (
        "import time\n"
        "(folder / 'began').touch()\n"
        "try:\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(0.2)\n"
        "    print('tidied up')\n"
    )

    def interrupt():
        while not all((tmp_path / name / "began").exists() for name in "01"):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    listening = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, tidy, tidy)
    signal.signal(signal.SIGINT, listening)
    assert [(tmp_path / "logs" / f"{n}.txt").read_text().strip() for n in range(2)] == ["tidied up"] * 2


def test_the_end_of_the_launcher_ends_a_forks_standard_input(tmp_path):
    waits = "import sys\n(folder / 'began').touch()\nsys.stdin.read()\n(folder / 'ended').touch()\n"
    jobs(tmp_path, waits, waits)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from joint_seg_cls.sweep.slots import Job, Slot\n"
        "from joint_seg_cls.sweep.warm import starter\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "with starter([Slot('worker 0')], 2, ['probe']) as start:\n"
        "    started = [start(Job(n, ['job', str(folder / n)], folder / n / 'log.txt'), {}) for n in '01']\n"
        "    sys.stdin.read()\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not all((tmp_path / name / "began").exists() for name in "01"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    launcher.kill()
    launcher.communicate()
    while not all((tmp_path / name / "ended").exists() for name in "01"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("slots", "count"), [([Slot("GPU 0", ("0",))], 4), ([Slot("worker 0")], 1)])
def test_jobs_on_gpus_and_single_jobs_are_new_interpreters(slots, count):
    with starter(slots, count, ["probe"]) as start:
        assert start is start_fresh
