"""Two processes at once: one store, one folder of findings, one run, one cohort."""

import shutil
import threading
import time

import pandas as pd
import pytest

from joint_seg_cls import run_state
from joint_seg_cls.atomic_write import PARTIAL_FILES
from joint_seg_cls.errors import DiskError
from joint_seg_cls.training import RunFolder, run_folder


@pytest.fixture
def both(forks, tmp_path):
    """Return a function that runs commands side by side and gives their exit codes and what they said."""

    def run(folder, *commands):
        logs = [tmp_path / f"said{number}.txt" for number in range(len(commands))]
        running = [forks.start(folder, *words, log=str(log)) for words, log in zip(commands, logs, strict=True)]
        codes, said = [forks.ended(process) for process in running], [log.read_text() for log in logs]
        assert not any("Traceback" in text for text in said), said
        return codes, said

    return run


def copied(world, folder, *names):
    folder.mkdir()
    for name in names:
        (shutil.copytree if (world / name).is_dir() else shutil.copy)(world / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", ["prepare", "phantom", "predict", "evaluate", "report"])
def test_two_simultaneous_commands_give_the_result_of_one(world, faults, forks, both, tmp_path, command):
    run = str(next(world.glob("runs/store/*/fold-0_seed-0")).relative_to(world))
    words = {
        "prepare": ["cohort=cohort.tsv", "store=new", "workers=2", *faults.prepare],
        "phantom": ["out=made", "subjects=1", "spacing_mm=2", "workers=0"],
        "predict": ["input=cohort.tsv", f"checkpoint={run}", "out=out", "device=cpu"],
        "evaluate": [f"run={run}", "fold=1", "device=cpu"],
        "report": ["study=small", "resamples=50"],
    }[command]
    names = ("scans", "cohort.tsv", "store", "runs")
    alone, together = (copied(world, tmp_path / name, *names) for name in ("alone", "together"))
    assert forks.run(alone, command, *words) == 0, (alone / "said.txt").read_text()
    (alone / "said.txt").unlink()
    codes, said = both(together, [command, *words], [command, *words])
    assert codes == [0, 0], said
    assert faults.results(together) == faults.results(alone)
    assert not list(together.rglob(PARTIAL_FILES))


@pytest.mark.slow
def test_two_simultaneous_predictions_share_one_table(world, both, tmp_path):
    run = next(world.glob("runs/store/*/fold-0_seed-0"))
    halves = [",".join(f"scans/s{number}_flair.nii.gz" for number in half) for half in ((0, 1), (2, 3))]
    words = [["predict", f"input=[{half}]", f"checkpoint={run}", f"out={tmp_path}", "device=cpu"] for half in halves]
    codes, said = both(world, *words)
    assert codes == [0, 0], said
    assert sorted(pd.read_csv(tmp_path / "predictions.tsv", sep="\t")["id"]) == [f"s{n}_flair" for n in range(4)]


@pytest.mark.slow
def test_a_second_training_of_one_run_is_refused_and_the_first_completes(world, faults, both, tmp_path):
    folder = copied(world, tmp_path / "here", "store")
    words = ["train", "data.store=store", *faults.small, "trainer.max_epochs=20"]
    codes, said = both(folder, words, words)
    assert sorted(codes) in ([0, 2], [0, 0]), said  # the second where one came when the other was done
    if 2 in codes:
        assert "a run that no other process is training" in said[codes.index(2)]
    (run,) = folder.glob("runs/store/*/fold-0_seed-0")
    assert (run / "DONE").is_file()
    assert len(pd.read_csv(run / "metrics.csv")) == 20


def test_a_heartbeat_continues_after_a_failed_write(tmp_path, monkeypatch):
    touched = []
    touch = type(tmp_path).touch

    def sometimes(self, *words, **more):
        if self.name == run_state.HEARTBEAT:
            touched.append(None)
            if len(touched) in (1, 3):
                raise OSError(28, "No space left on device")
        touch(self, *words, **more)

    monkeypatch.setattr(type(tmp_path), "touch", sometimes)
    monkeypatch.setattr(run_folder, "HEARTBEAT_S", 0.01)
    with RunFolder(tmp_path).recording({"data_hash": "a"}, "a: 1"):
        end = time.monotonic() + 60
        while len(touched) < 6 and time.monotonic() < end:
            time.sleep(0.01)
        assert any(thread.name.endswith("(_beat)") for thread in threading.enumerate())
    assert len(touched) >= 6
    assert (tmp_path / run_state.HEARTBEAT).is_file()


def test_a_run_folder_can_be_reused_after_a_full_disk_at_its_start(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", str(tmp_path))

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_text", full)
        with pytest.raises(DiskError, match="No space"), RunFolder(tmp_path).recording({"data_hash": "a"}, "a: 1"):
            pass
    with RunFolder(tmp_path).recording({"data_hash": "a"}, "a: 1"):
        pass
