"""Commands that are killed at random moments: when repeated, they have the results of an uninterrupted one.

Nothing half-written stays, and no process. The figures are printed: ``pytest -m slow -s tests/faults/test_kills.py``.
"""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest
import torch

from joint_seg_cls import parallel
from joint_seg_cls.atomic_write import PARTIAL_FILES
from joint_seg_cls.phantom.atlas import load_atlas

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
CHECK = ("cohort=cohort.tsv", "store=store", "data.folds.count=2", "out=audit", "workers=2")
#: For each command: what it finds, its words, how many kills in the long form and in the short one.
COMMANDS = {
    "phantom": ((), ("out=cohort", "subjects=2", "spacing_mm=2", "workers=2"), 5, 0),
    "cohort": (("scans",), ("source=pattern", "path=scans", "out=found.tsv", "flair={subject}_flair.nii.gz"), 4, 0),
    "check": (("scans", "cohort.tsv", "store"), CHECK, 5, 0),
    "prepare": (("scans", "cohort.tsv"), ("cohort=cohort.tsv", "store=new", "workers=2", "PREPARE"), 8, 0),
    "train": (("store",), ("data.store=store", "fold=0", "SMALL"), 10, 1),
    "evaluate": (("store", "runs"), ("run=RUN", "fold=1", "device=cpu"), 6, 0),
    "predict": (("scans", "cohort.tsv", "runs"), ("input=cohort.tsv", "checkpoint=RUN", "out=out", "device=cpu"), 8, 0),
    "compare": (
        ("scans", "found"),
        ("input=[scans/s0_flair.nii.gz,scans/s1_flair.nii.gz]", "findings=found", "out=out"),
        4,
        0,
    ),
    "export": (("store", "runs"), ("run=RUN", "out=bundle"), 4, 0),
    "report": (("store", "runs"), ("study=small", "resamples=50"), 6, 0),
    "sweep": (("store",), ("-m", "data.store=store", "fold=0,1", "study=swept", "SMALL"), 4, 0),
}


def words_of(command, world, faults):
    (run,) = world.glob("runs/store/*/fold-0_seed-0")
    words = ["train" if command == "sweep" else command]
    for word in COMMANDS[command][1]:
        several = {"PREPARE": faults.prepare, "SMALL": faults.small}
        words += several.get(word, (word.replace("RUN", str(run.relative_to(world))),))
    return words


def place(world, folder, command):
    """Make a folder that holds what the command finds."""
    folder.mkdir()
    for name in COMMANDS[command][0]:
        copy = shutil.copytree if (world / name).is_dir() else shutil.copy
        copy(world / name, folder / name)
    return folder


def kill_until_done(forks, faults, folder, words, *, moments, seconds, kills, drawn):
    """Kill the command until it was killed ``kills`` times, or was done before; return the signals."""
    sent = []
    while len(sent) < kills:
        began = time.monotonic()
        leader = forks.start(folder, *words)
        number = drawn.choice(SIGNALS)
        time.sleep(max(0.0, moments() * seconds - (time.monotonic() - began)))
        with suppress(ProcessLookupError):
            os.kill(leader, number)
        code = forks.ended(leader)
        assert faults.wait_until(lambda leader=leader: not faults.descendants(leader, folder), 120), (
            "a process has stayed"
        )
        if code == 0:
            break
        log = folder / "said.txt"
        said = log.read_text() if log.is_file() else ""  # killed before the log was opened
        assert code in (-number, 128 + number), said
        assert "Traceback" not in said, said
        sent.append(number)
    return sent


def assert_kills_change_no_result(forks, faults, world, tmp_path, command, kills, seed):
    drawn = random.Random(f"{seed} {command}")
    words = words_of(command, world, faults)
    whole = place(world, tmp_path / "whole", command)
    began = time.monotonic()
    assert forks.run(whole, *words) == 0, (whole / "said.txt").read_text()
    seconds = time.monotonic() - began
    expected = without_log(faults.results(whole))
    sent: list[int] = []
    for trial in range(3 * kills):
        folder = place(world, tmp_path / str(trial), command)
        in_a_row = min(2, kills - len(sent))
        sent += kill_until_done(
            forks, faults, folder, words, moments=drawn.random, seconds=seconds, kills=in_a_row, drawn=drawn
        )
        assert forks.run(folder, *words) == 0, (folder / "said.txt").read_text()
        assert without_log(faults.results(folder)) == expected
        assert not list(folder.rglob(PARTIAL_FILES))
        shutil.rmtree(folder)
        if len(sent) == kills:
            break
    assert len(sent) == kills
    by_signal = ", ".join(f"{count} {signal.Signals(number).name}" for number, count in sorted(Counter(sent).items()))
    print(
        f"\n{command}: {kills} kills ({by_signal}) within {seconds:.1f} s each; results bit-equal, nothing left behind"
    )


def without_log(found):
    return {name: digest for name, digest in found.items() if not name.endswith(".txt") or name.startswith("cohort/")}


@pytest.mark.parametrize("command", [name for name, each in COMMANDS.items() if each[3]])
def test_a_killed_command_that_is_repeated_gives_the_results_of_an_uninterrupted_one(
    forks, faults, world, tmp_path, command
):
    assert_kills_change_no_result(forks, faults, world, tmp_path, command, COMMANDS[command][3], seed=int(time.time()))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("command", COMMANDS)
def test_fifty_kills_at_random_moments_change_no_result(forks, faults, world, tmp_path, monkeypatch, command):
    # forked, so that a kill meets work and not imports; tests/preprocess/test_store.py kills workers that are spawned
    monkeypatch.setattr(parallel, "get_context", lambda _: multiprocessing.get_context("fork"))
    torch.set_num_threads(1)  # a fork of a process with threads of OpenMP can wait for them for ever
    if command == "phantom":
        load_atlas(2)
    assert_kills_change_no_result(
        forks, faults, world, tmp_path, command, COMMANDS[command][2], seed=os.environ.get("JSC_SEED", "0")
    )
