"""Atomic writing: a file is complete or unchanged after failures, kills and concurrent writing."""

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from joint_seg_cls import atomic_write as module
from joint_seg_cls.atomic_write import (
    PARTIAL_FILES,
    atomic_file,
    atomic_folder,
    clear_partial,
    nan_as_null,
    partial_path,
    write_json,
    write_text,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from joint_seg_cls.atomic_write import atomic_file, atomic_folder
path = Path(sys.argv[1])
with atomic_folder(path.with_name("folder")) as folder, atomic_file(path) as partial:
    (folder / "a").write_text("half")
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""

OTHER = """
import sys
from pathlib import Path
from joint_seg_cls.atomic_write import write_text
write_text(Path(sys.argv[1]), "other")
"""


@pytest.fixture
def small_files():
    """Let the kernel refuse files above 100 kB, as a disk that is full refuses them."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_written_file_is_at_its_path(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "lines\r\nas they are\n")
    write_json(tmp_path / "b.json", {"a": [1, 2]})
    assert (tmp_path / "a.txt").read_bytes() == b"lines\r\nas they are\n"
    assert (tmp_path / "b.json").read_text() == '{\n "a": [\n  1,\n  2\n ]\n}'
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.json"}


def test_a_partial_file_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "scan.nii.gz") as partial:
        assert partial.name.endswith(".nii.gz")
        partial.touch()


@pytest.mark.parametrize("name", ["x" * 251 + ".csv", "李" * 83 + ".json"])
def test_the_longest_file_names_can_be_written(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_partial_names_are_unique_to_machine_and_process(tmp_path: Path, monkeypatch) -> None:
    names = {partial_path(tmp_path / "a") for _ in range(3)}
    module._machine.cache_clear()
    monkeypatch.setattr(module.platform, "node", lambda: "another machine on the same share")
    names.add(partial_path(tmp_path / "a"))
    module._machine.cache_clear()
    assert len({name.name.split("-")[1] for name in names}) == 2
    assert len(names) == 4


def test_an_error_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError), atomic_file(path) as partial:
        partial.write_text("half \N{BULLET}", encoding="ascii")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_keeps_the_old_file_and_partial_output_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.read_text() == "before"
    assert len(list(tmp_path.glob(PARTIAL_FILES))) == 2
    with atomic_file(tmp_path / "own") as own:
        own.write_text("a living process writes")
        (tmp_path / ".partial-of-another-program").touch()
        clear_partial(tmp_path.parent, below=True)
    assert {each.name for each in tmp_path.iterdir()} == {"table.csv", "own", ".partial-of-another-program"}


@pytest.mark.parametrize(("hours", "stays"), [(23, True), (25, False)])
def test_partial_output_of_another_machine_is_cleared_after_a_day(tmp_path: Path, hours: int, stays: bool) -> None:
    left = tmp_path / ".partial-0123abcd-1-abcdef-0-table.csv"
    left.touch()
    then = time.time() - hours * 3600
    os.utime(left, (then, then))
    clear_partial(tmp_path)
    assert left.exists() == stays


def test_a_reused_process_id_does_not_protect_old_files(tmp_path: Path) -> None:
    own = partial_path(tmp_path / "a")
    earlier = own.with_name(own.name.replace(f"-{module._TOKEN}-", "-000000-"))
    own.touch()
    earlier.touch()
    clear_partial(tmp_path)
    assert list(tmp_path.iterdir()) == [own]


def test_another_process_with_the_same_file_does_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with atomic_file(path) as partial:
        partial.write_text("own")
        subprocess.run([sys.executable, "-c", OTHER, str(path)], check=True)
        assert path.read_text() == "other"
    assert path.read_text() == "own"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [False, True])
def test_a_file_of_another_process_is_replaced_or_kept(tmp_path: Path, keep: bool) -> None:
    with atomic_file(tmp_path / "a", keep=keep) as partial, atomic_folder(tmp_path / "b", keep=keep) as folder:
        partial.write_text("own")
        (folder / "own").touch()
        (tmp_path / "a").write_text("other")
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "other").touch()
    assert (tmp_path / "a").read_text() == ("other" if keep else "own")
    assert [each.name for each in (tmp_path / "b").iterdir()] == ["other" if keep else "own"]
    assert {each.name for each in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("keep", [False, True])
def test_a_file_is_written_on_a_disk_without_hard_links(tmp_path: Path, monkeypatch, keep: bool) -> None:
    def link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    write_text(tmp_path / "a", "whole", keep=keep)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["whole"]


def write_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(100_000))


def write_archive(path: Path) -> None:
    np.savez(path, a=np.random.default_rng(0).random(100_000))


def write_torch(path: Path) -> None:
    import torch

    torch.save(torch.zeros(100_000), path)


def write_picture(path: Path) -> None:
    from matplotlib.image import imsave

    imsave(path, np.random.default_rng(0).random((400, 400)), format="png")


def write_volume(path: Path) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((50, 50, 50)), np.eye(4)), path)


@pytest.mark.parametrize("write", [write_array, write_archive, write_torch, write_picture, write_volume])
@pytest.mark.usefixtures("small_files")
def test_every_writer_reports_a_full_disk_with_file_and_reason(tmp_path: Path, write) -> None:
    path = tmp_path / ("a.nii.gz" if write is write_volume else "a.npz")
    path.write_text("before")
    with pytest.raises(OSError, match="File too large") as met, atomic_file(path) as partial:
        write(partial)
    assert (met.value.filename, met.value.errno) == (str(path), errno.EFBIG)
    with pytest.raises(OSError, match="File too large") as met, atomic_folder(tmp_path / "b") as folder:
        write(folder / path.name)
    assert met.value.filename == str(tmp_path / "b")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(path.name, "before")]


def test_invalid_json_is_not_written(tmp_path: Path) -> None:
    record = {"a": float("nan"), "b": [float("inf"), (1.5,)], "c": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", record)
    assert not list(tmp_path.iterdir())
    assert nan_as_null(record) == {"a": None, "b": [None, [1.5]], "c": None}


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs the process files of Linux")
def test_partial_output_of_a_process_that_ended_but_was_not_collected_is_deleted(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{ended.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    own = partial_path(tmp_path / "file.txt")
    left = own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-", 1))
    left.write_text("half")
    clear_partial(tmp_path)
    assert not left.exists()
    ended.wait()
