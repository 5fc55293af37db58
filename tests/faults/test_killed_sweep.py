"""Temporary folders of a killed sweep: the next sweep deletes those without a living process."""

import os
import subprocess
import sys
import tempfile

from filelock import FileLock

from joint_seg_cls.sweep.slots import LOCK, clear_leftovers, scratch

_KILLED = """
import os
from joint_seg_cls.sweep.slots import scratch
with scratch() as place:
    (place / "0").mkdir()
    (place / "0" / "job.pkl").write_bytes(b"x")
    print(place, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_the_folder_of_a_killed_sweep_is_cleared_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    killed = subprocess.run([sys.executable, "-c", _KILLED], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    (left,) = tmp_path.iterdir()
    assert str(left) == killed.stdout.strip()
    os.utime(left, (0, 0))
    with scratch() as place:
        assert list(tmp_path.iterdir()) == [place]
        os.utime(place, (0, 0))
        clear_leftovers()  # another sweep begins
        assert place.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_folder_is_kept_while_one_of_its_jobs_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    job = tmp_path / "jsc-sweep-a" / "0"
    job.mkdir(parents=True)
    (job.parent / LOCK).touch()
    os.utime(job.parent, (0, 0))
    with FileLock(job / LOCK):
        clear_leftovers()
        assert job.is_dir()
    (tmp_path / "jsc-sweep-other" / "0").mkdir(parents=True)  # no lock: of something else
    for folder in tmp_path.iterdir():
        os.utime(folder, (0, 0))
    clear_leftovers()
    assert [path.name for path in tmp_path.iterdir()] == ["jsc-sweep-other"]
