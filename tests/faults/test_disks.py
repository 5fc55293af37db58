"""Full and read-only disks: one sentence, no partial file, and the repeated command has the usual results."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from joint_seg_cls.atomic_write import PARTIAL_FILES

#: For each command: what it finds on the disk, what elsewhere, its words, and how many kB its disk is too small by.
COMMANDS = {
    "phantom": ((), "phantom out=DISK/cohort subjects=1 spacing_mm=2 workers=0", 400),
    "check": ((), "check cohort=WORLD/cohort.tsv out=DISK/audit", 20),
    "cohort": ((), "cohort source=pattern path=WORLD/scans out=DISK/found.tsv flair={subject}_flair.nii.gz", 4),
    "prepare": ((), "prepare cohort=WORLD/cohort.tsv store=DISK/store workers=2 PREPARE", 40),
    "evaluate": (("runs",), "evaluate run=DISK/RUN fold=1 device=cpu", 4),
    "predict": (
        (),
        "predict input=[WORLD/scans/s0_flair.nii.gz,WORLD/scans/s1_flair.nii.gz] checkpoint=WORLD/RUN out=DISK/out "
        "device=cpu",
        60,
    ),
    "compare": (
        (),
        "compare input=[WORLD/scans/s0_flair.nii.gz,WORLD/scans/s1_flair.nii.gz] findings=WORLD/found out=DISK/out",
        40,
    ),
    "export": ((), "export run=WORLD/RUN out=DISK/bundle", 60),
    "report": (("runs",), "report study=small runs=DISK/runs resamples=50", 200),
}
#: What lists the others: it is whole, and shorter than it will be.
_LISTS = {"store.json", "predictions.tsv", "index.html"}


@pytest.fixture
def disk(tmp_path):
    """Return a function that gives a disk of some kB, or changes its size; ``size=None`` makes it read-only."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)

    made = mount("-t", "tmpfs", "-o", "size=64m", "none")
    if made.returncode != 0:
        pytest.skip(f"this user may not mount a small disk ({made.stderr.strip()})")

    def sized(kilobytes):
        option = "remount,ro" if kilobytes is None else f"remount,rw,size={kilobytes}k"
        assert mount("-o", option).returncode == 0
        return place

    yield sized
    subprocess.run(["umount", str(place)], check=True)


def words_of(command, world, place, faults):
    (run,) = world.glob("runs/store/*/fold-0_seed-0")
    told = COMMANDS[command][1].replace("PREPARE", " ".join(faults.prepare)).replace("DISK", str(place))
    return told.replace("RUN", str(run.relative_to(world))).replace("WORLD", str(world)).split()


def filled(place):
    """Return the kB that files take on a disk."""
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=() if name == "predict" else pytest.mark.slow) for name in COMMANDS],
)
def test_a_full_disk_is_one_sentence_and_the_repeated_command_has_the_results_of_a_large_disk(
    disk, jsc, faults, world, monkeypatch, command
):
    monkeypatch.chdir(world)
    place = disk(65536)
    finds, _, too_small = COMMANDS[command]
    words = words_of(command, world, place, faults)

    def fresh():
        for each in place.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        (place / "ballast").write_bytes(bytes(4096))  # a disk has a page at least, which a short table fits in
        for name in finds:
            shutil.copytree(world / name, place / name)

    fresh()
    code, _, err = jsc(*words)
    assert code == 0, err
    expected, room = faults.results(place), filled(place)
    fresh()
    disk(max(room - too_small, filled(place)))
    code, _, err = jsc(*words)
    said = err.strip().splitlines()[-1]
    assert (code, "Traceback" in err) == (2, False), err
    assert said.startswith(f"error: {place}"), err
    assert said.endswith(
        "found No space left on device; free some space, and repeat the command; finished work is kept."
    )
    assert not list(place.rglob(PARTIAL_FILES))
    there = {name: digest for name, digest in faults.results(place).items() if Path(name).name not in _LISTS}
    assert there.items() <= expected.items(), "what is there is whole"
    disk(65536)
    code, _, err = jsc(*words)
    assert code == 0, err
    assert faults.results(place) == expected


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=() if name == "prepare" else pytest.mark.slow) for name in COMMANDS],
)
def test_a_disk_that_becomes_read_only_is_one_sentence(disk, jsc, faults, world, monkeypatch, command):
    monkeypatch.chdir(world)
    place = disk(65536)
    finds = COMMANDS[command][0]
    for name in finds:
        shutil.copytree(world / name, place / name)
    before = faults.results(place)
    disk(None)
    code, _, err = jsc(*words_of(command, world, place, faults))
    said = err.strip().splitlines()[-1]
    assert (code, "Traceback" in err) == (2, False), err
    assert "Read-only file system" in said or "no write permission" in said, said
    assert faults.results(place) == before


def test_no_partial_file_is_left(world):
    assert not list(Path(world).rglob(PARTIAL_FILES))
