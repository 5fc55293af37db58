"""A large store: killed runs continue, processes share the work, memory and disk are bounded."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import psutil
import pytest
from filelock import FileLock

from joint_seg_cls.atomic_write import PARTIAL_FILES, partial_path
from joint_seg_cls.errors import ScanError, StoreError, disk_error
from joint_seg_cls.preprocess import (
    ByHeader,
    CropResize,
    NoBiasField,
    NoExtraction,
    Pipeline,
    ZScore,
    bytes_a_case,
    prepare_cohort,
    summary,
)
from joint_seg_cls.scan import PreparedStore, checksums, read_cohort

SHAPE = (24, 26, 22)
#: A part of a user's own package that takes its time, so that a process can be met at its work.
SLOW = """
import time
from joint_seg_cls.preprocess import Corrected
class Slow:
    def __call__(self, image, grid, brain):
        time.sleep({seconds})
        return Corrected(image, None)
"""
#: ``jsc`` whose processes write down their largest resident memory, which the last of a worker's scans finds.
MEASURE = """
import os, sys
from pathlib import Path
from joint_seg_cls.cli.main import main
from joint_seg_cls.preprocess import Corrected

def write(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    Path(os.environ["PEAKS"], name).write_text(line.split()[1])

class Measured:
    def __call__(self, image, grid, brain):
        write(str(os.getpid()))
        return Corrected(image, None)

if __name__ == "__main__":
    main(sys.argv[1:])
    write("parent")
"""


@pytest.fixture
def table(tmp_path):
    def write(count=3, shape=SHAPE):
        rng = np.random.default_rng(0)
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        middle = (np.array(shape) - 1) / 2
        brain = (((index - middle) / (0.45 * np.array(shape))) ** 2).sum(axis=-1) < 1
        lesion = (np.abs(index - middle) < 3).all(axis=-1)
        lines = ["subject\tflair\tlesion_mask\tdisease\tsite"]
        (tmp_path / "scans").mkdir(exist_ok=True)
        for number in range(count):
            scan = np.where(brain, rng.normal(100, 20, shape), 0).astype(np.float32)
            for name, data in (("flair", scan), ("lesion", lesion.astype(np.uint8))):
                nib.save(nib.Nifti1Image(data, np.diag([-2.0, -2, 2, 1])), tmp_path / f"scans/{number}_{name}.nii")
            disease = ("MS", "NMOSD")[number % 2]
            lines.append(f"s{number:02}\tscans/{number}_flair.nii\tscans/{number}_lesion.nii\t{disease}\tnorth")
        (tmp_path / "cohort.tsv").write_text("\n".join(lines))
        return tmp_path / "cohort.tsv"

    return write


def prepare(path, store, *, raters="intersection", image_size=16):
    parts = NoExtraction(), NoBiasField(), ByHeader(), CropResize(image_size), ZScore("brain"), raters
    kinds = {"classes": ("MS", "NMOSD"), "modalities": ("flair",)}
    settings = {"raters": raters, "image_size": image_size}
    return prepare_cohort(read_cohort(path), store, Pipeline(*parts), settings=settings, workers=0, **kinds)


@pytest.fixture
def program(tmp_path):
    """Return a function that starts ``jsc prepare`` in another process; each scan takes ``seconds``."""
    running = []

    def start(path, store, *words, seconds=0.0, workers=0, on_ctrl_c=signal.SIG_DFL):
        (tmp_path / "slow_part.py").write_text(SLOW.format(seconds=seconds))
        slow = "preprocess.bias_field._target_=slow_part.Slow"
        keys = [
            f"cohort={path}",
            f"store={store}",
            "image_size=16",
            "preprocess/brain=none",
            slow,
            f"workers={workers}",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "joint_seg_cls", "prepare", *keys, "preprocess/bias_field=none", *words],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, on_ctrl_c),  # noqa: PLW1509 - one call, no lock
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_for(what, seconds=240.0):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.02)


def prepared_now(text):
    return int(text.split(" prepared now")[0].split()[-1])


def images_of(store):
    return {case.case: np.array(case.image()) for case in PreparedStore(store).cases}


def test_a_killed_run_leaves_no_process_and_can_be_continued(table, program, tmp_path):
    path, store = table(8), tmp_path / "store"
    process = program(path, store, seconds=0.3, workers=2)
    wait_for(lambda: len(list(store.glob("*/case.json"))) >= 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert not alive
    before = {file: file.stat().st_mtime_ns for file in store.glob("s*/image.npy")}
    assert 2 <= len(before) < 8
    with pytest.raises(StoreError, match="unfinished preparation"):
        _ = PreparedStore(store).cases
    left = store / partial_path(store / "s07").name.replace(f"-{os.getpid()}-", f"-{process.pid}-")  # as the kill may
    left.mkdir()
    (left / "image.npy").write_bytes(b"half")
    process = program(path, store, seconds=0)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    assert prepared_now(out) == 8 - len(before)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert {case.case for case in PreparedStore(store).cases} == {f"s{n:02}" for n in range(8)}
    assert not list(store.rglob(PARTIAL_FILES))


@pytest.mark.slow
def test_a_worker_killed_out_of_memory_is_one_sentence(table, program, tmp_path):
    path, store = table(8), tmp_path / "store"
    process = program(path, store, seconds=0.3, workers=2)
    wait_for(lambda: list(store.glob("*/case.json")))
    worker = next(
        child for child in psutil.Process(process.pid).children() if "resource_tracker" not in " ".join(child.cmdline())
    )
    worker.kill()
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 2, out
    assert "probably out of memory; repeat the command with fewer workers=" in out
    assert "Traceback" not in out


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_is_one_sentence(table, program, tmp_path):
    process = program(table(8), tmp_path / "store", seconds=0.3, workers=2)
    wait_for(lambda: list((tmp_path / "store").glob("*/case.json")))
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 130, out
    assert out.splitlines()[-1] == "jsc: interrupted; repeat the command to continue"
    assert "Traceback" not in out


def test_a_background_job_of_a_shell_ignores_ctrl_c(table, program, tmp_path):
    process = program(table(4), tmp_path / "store", seconds=0.3, workers=2, on_ctrl_c=signal.SIG_IGN)
    wait_for(lambda: list((tmp_path / "store").glob("*/case.json")))
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out


def test_two_processes_share_one_store(table, program, tmp_path):
    path, store = table(8), tmp_path / "store"
    both = [program(path, store, seconds=0.3) for _ in range(2)]
    output = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], output
    assert sum(map(prepared_now, output)) == 8  # every scan was prepared by one of them, once
    alone = program(path, tmp_path / "alone")
    assert alone.wait(240) == 0
    shared, own = images_of(store), images_of(tmp_path / "alone")
    assert shared.keys() == own.keys()
    for name, image in shared.items():
        np.testing.assert_array_equal(image, own[name])
    assert not list(store.rglob(PARTIAL_FILES))


def test_two_processes_with_different_settings_do_not_share_a_store(table, program, tmp_path):
    path, store = table(4), tmp_path / "store"
    both = [program(path, store, f"preprocess.raters={rule}", seconds=0.3) for rule in ("union", "majority")]
    output = [process.communicate(timeout=240)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], output
    won, lost = codes.index(0), codes.index(2)
    assert "settings.raters" in output[lost]
    assert PreparedStore(store).settings["raters"] == ("union", "majority")[won]


def test_a_case_locked_by_another_process_is_prepared_last(table, tmp_path, caplog):
    path, store = table(3), tmp_path / "store"
    (store / ".locks").mkdir(parents=True)
    taken = threading.Event()

    def other():  # acts as another process, since a lock belongs to its thread
        with FileLock(store / ".locks" / "s00.lock"):
            taken.set()
            wait_for((store / "s02" / "case.json").is_file)
            time.sleep(0.2)

    finished = threading.Thread(target=other)
    caplog.set_level("INFO")
    finished.start()
    taken.wait()
    done = prepare(path, store)
    finished.join()
    assert "another process is preparing 1 of these scans" in caplog.text
    assert (done.new, len(done.store.cases)) == (3, 3)


def test_a_store_of_another_version_is_refused(table, tmp_path):
    path, store = table(2), tmp_path / "store"
    prepare(path, store)
    record = json.loads((store / "store.json").read_text())
    for older in ({**record, "format": 1}, {key: value for key, value in record.items() if key != "format"}):
        (store / "store.json").write_text(json.dumps(older))
        for use in (lambda: prepare(path, store), lambda: PreparedStore(store)):
            with pytest.raises(StoreError, match=r"older version|format 1.*another store="):
                use()
    assert json.loads((store / "store.json").read_text()) == older


def test_changed_labels_do_not_repeat_preprocessing(table, tmp_path):
    path, store = table(3), tmp_path / "store"
    before = prepare(path, store).store.content_hash
    stamps = {file: file.stat().st_mtime_ns for file in store.glob("*/*.npy")}
    path.write_text(path.read_text().replace("NMOSD\tnorth", "MS\tsouth"))
    done = prepare(path, store)
    assert (done.new, done.kept) == (0, 3)
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    assert [(case.disease, case.columns["site"]) for case in done.store.cases] == [
        ("MS", "north"), ("MS", "south"), ("MS", "north"),
    ]  # fmt: skip
    assert done.store.content_hash != before


def damage(file, how):
    whole = file.read_bytes()
    middle = len(whole) * 2 // 3
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    file.write_bytes({"cut": whole[:-5], "flipped": flipped, "empty": b""}[how])
    return whole


FILES = "image.npy", "brain_mask.npy", "lesion_mask.npy", "lesion_mask_native.npz", "case.json"


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_reported_and_repaired(table, tmp_path, name):
    path, store = table(3), tmp_path / "store"
    prepare(path, store)
    assert len(PreparedStore(store).cases) == 3
    others = {file: file.stat().st_mtime_ns for file in store.glob("s0[02]/*")}
    for how in ("cut", "flipped", "empty"):
        whole = damage(store / "s01" / name, how)
        with pytest.raises(StoreError, match=rf"s01/{name}: expected.*`jsc prepare`"):
            _ = PreparedStore(store).cases
        assert prepare(path, store).new == 1
        assert (store / "s01" / name).read_bytes() == whole
    assert {file: file.stat().st_mtime_ns for file in store.glob("s0[02]/*")} == others
    assert len(PreparedStore(store).cases) == 3


def test_checksums_are_verified_once_and_after_changes(table, tmp_path, monkeypatch):
    store, read = tmp_path / "store", []
    prepare(table(3), store)
    file_sha256 = checksums.file_sha256
    monkeypatch.setattr(checksums, "file_sha256", lambda path: (read.append(path.parent.name), file_sha256(path))[1])
    _ = PreparedStore(store).cases
    assert not read  # preparing has compared them
    (store / ".verified.json").write_text("[damaged")
    for expected in (["s00", "s01", "s02"], []):
        read.clear()
        _ = PreparedStore(store).cases
        assert sorted(set(read)) == expected
    file = store / "s02" / "image.npy"
    before = file.stat()
    damage(file, "flipped")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StoreError, match=r"s02/image\.npy"):
        _ = PreparedStore(store).cases
    assert set(read) == {"s02"}
    (store / "s00" / "image.npy").unlink()
    with pytest.raises(StoreError, match=r"s00/image\.npy.*and 1 more cases; .*prepares these cases again"):
        _ = PreparedStore(store).cases


def test_a_store_without_checksums_is_read_and_gets_them_on_preparing(table, tmp_path, caplog):
    path, store = table(2), tmp_path / "store"
    prepare(path, store)
    before = PreparedStore(store).content_hash
    for file in store.glob("*/case.json"):
        record = json.loads(file.read_text())
        del record["checksums"]
        file.write_text(json.dumps(record))
    caplog.set_level("INFO")
    assert PreparedStore(store).content_hash == before
    assert "2 cases of an earlier version have no checksums" in caplog.text
    damage(store / "s01" / "lesion_mask_native.npz", "cut")
    with pytest.raises(StoreError, match=r"s01/lesion_mask_native\.npz"):
        _ = PreparedStore(store).cases
    stamp = (store / "s00" / "image.npy").stat().st_mtime_ns
    done = prepare(path, store)
    assert (done.new, done.kept) == (1, 1)
    assert (store / "s00" / "image.npy").stat().st_mtime_ns == stamp
    assert all(case.checksums.keys() == set(FILES) for case in done.store.cases)
    assert done.store.content_hash == before


@pytest.mark.parametrize(
    "record", ["[]", "{}", '{"format": 2}', "", "\x00", '{"format": 2, "settings": 1, "classes": 2, "cases": 3}']
)
def test_damaged_records_are_one_sentence(table, tmp_path, record):
    path, store = table(1), tmp_path / "store"
    prepare(path, store)
    (store / "s00" / "case.json").write_text(record)
    with pytest.raises(StoreError, match=r"s00/case\.json: expected"):
        _ = PreparedStore(store).cases
    (store / "store.json").write_text(record)
    with pytest.raises(StoreError, match="store"):
        PreparedStore(store)


def test_a_changed_scan_marks_the_store_unfinished(table, tmp_path):
    path, store = table(3), tmp_path / "store"
    prepare(path, store)
    (tmp_path / "scans/1_flair.nii").write_bytes(b"no scan any more")
    nib.save(nib.load(tmp_path / "scans/0_flair.nii"), tmp_path / "scans/2_flair.nii")
    with pytest.raises(ScanError, match="1_flair"):
        prepare(path, store)
    with pytest.raises(StoreError, match="unfinished preparation"):
        _ = PreparedStore(store).cases


def test_too_small_a_disk_is_reported_before_preparing(table, tmp_path, monkeypatch):
    path, store = table(3), tmp_path / "store"
    assert bytes_a_case(2, (160, 160, 160)) == 160**3 * 10  # two float32 channels, two masks
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 16**3 * 6 - 1))
    with pytest.raises(StoreError, match=r"3 cases of 0\.0 MB.*free space"):
        prepare(path, store)
    assert not list(store.glob("s*/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 16**3 * 6))
    assert prepare(path, store).new == 3


def test_a_full_disk_gives_an_error_message_and_keeps_prepared_cases(table, tmp_path, monkeypatch):
    path, store = table(3), tmp_path / "store"
    save, saved = np.save, []

    def fills(file, array):
        if "s01" in str(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(file)
        save(file, array)

    monkeypatch.setattr(np, "save", fills)
    with pytest.raises(OSError, match="No space left") as met:
        prepare(path, store)
    assert "s01: expected free space on the disk" in str(disk_error(met.value))
    monkeypatch.undo()
    assert (prepare(path, store).new, bool(saved)) == (2, True)


def test_a_scan_that_needs_too_much_memory_is_reported(table, tmp_path, monkeypatch):
    def eats(self, image, grid, brain):
        raise MemoryError

    monkeypatch.setattr(NoBiasField, "__call__", eats)
    with pytest.raises(ScanError, match=r"0_flair.*fewer workers="):
        prepare(table(1), tmp_path / "store")


@pytest.mark.slow
def test_reading_the_list_of_two_thousand_cases_takes_seconds(table, tmp_path):
    store = tmp_path / "store"
    prepare(table(1), store)
    names = [f"c{number:04}" for number in range(2000)]
    for name in names:
        shutil.copytree(store / "s00", store / name)
    record = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps(record | {"cases": names}))
    began = time.process_time()
    cases = PreparedStore(store).cases
    assert len(cases) == 2000
    assert summary(cases, (16, 16, 16)) == [
        f"2000 scans, such as {cases[0].case}: {warning}" for warning in cases[0].provenance["warnings"]
    ]
    assert time.process_time() - began < 10


def peak_mb(tmp_path, path, count):
    """Prepare in two workers; return the peak memory of the parent and of the larger worker, counted by the kernel."""
    (tmp_path / "measure.py").write_text(MEASURE)
    table, peaks = tmp_path / f"cohort{count}.tsv", tmp_path / f"peaks{count}"
    peaks.mkdir()
    table.write_text("\n".join(path.read_text().splitlines()[: count + 1]))
    keys = [f"cohort={table}", f"store={tmp_path / f'store{count}'}", "image_size=48", "workers=2"]
    keys += ["preprocess/brain=none", "preprocess/bias_field=none", "preprocess.bias_field._target_=measure.Measured"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PEAKS": str(peaks)}
    subprocess.run([sys.executable, tmp_path / "measure.py", "prepare", *keys], env=environment, check=True)
    parent = int((peaks / "parent").read_text()) / 1024
    workers = [int(file.read_text()) / 1024 for file in peaks.iterdir() if file.name != "parent"]
    return np.array([parent, max(workers)])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_is_independent_of_the_number_of_cases(table, tmp_path):
    path = table(60, (60, 64, 56))  # 0.9 MB per scan as float32: keeping them would increase the memory
    few, many = peak_mb(tmp_path, path, 2), peak_mb(tmp_path, path, 60)
    print("peak MB of the parent and of the larger worker:", few, many)
    assert (many - few < 15).all(), f"MB of (parent, worker) with 2 cases: {few}, with 60: {many}"
