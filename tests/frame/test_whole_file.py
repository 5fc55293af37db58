"""A file is there whole, or as it was before: whoever fails, is killed, or writes it at the same time."""

import subprocess
import sys
from pathlib import Path

import pytest

from joint_seg_cls.whole_file import PARTIAL_FILES, whole_file, write_json, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from joint_seg_cls.whole_file import whole_file
with whole_file(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""

OTHER = """
import sys
from pathlib import Path
from joint_seg_cls.whole_file import write_text
write_text(Path(sys.argv[1]), "other")
"""


def test_what_was_written_stands_in_its_place(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "lines\r\nas they are\n")
    write_json(tmp_path / "b.json", {"a": [1, 2]})
    assert (tmp_path / "a.txt").read_bytes() == b"lines\r\nas they are\n"
    assert (tmp_path / "b.json").read_text() == '{\n "a": [\n  1,\n  2\n ]\n}'
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.json"}


def test_a_partial_file_keeps_the_suffix_that_writers_go_by(tmp_path: Path) -> None:
    with whole_file(tmp_path / "scan.nii.gz") as partial:
        assert partial.name.endswith(".nii.gz")
        partial.touch()


def test_an_error_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError), whole_file(path) as partial:
        partial.write_text("half \N{BULLET}", encoding="ascii")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_leaves_the_file_before_and_a_hidden_one(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.read_text() == "before"
    assert [left.read_text() for left in tmp_path.glob(PARTIAL_FILES)] == ["half"]


def test_another_process_with_the_same_file_does_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with whole_file(path) as partial:
        partial.write_text("own")
        subprocess.run([sys.executable, "-c", OTHER, str(path)], check=True)
        assert path.read_text() == "other"
    assert path.read_text() == "own"
    assert list(tmp_path.iterdir()) == [path]
