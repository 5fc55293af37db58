"""``jsc status``: the progress of a study's runs, read from run folders."""

import os
import time

import pytest
import yaml
from rich.console import Console

from joint_seg_cls.run_state import RunState, run_state
from joint_seg_cls.sweep.progress import time_left_s, view, watch, watching
from joint_seg_cls.sweep.study import Study, StudyRun, find_study


def write_run(collection, folder, *, epochs, seconds=(), beat_s_ago=None, done=False, failed=None):
    run = collection / folder
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"trainer": {"max_epochs": epochs}}))
    rows = [f"{number},{each}" for number, each in enumerate(seconds)]
    (run / "metrics.csv").write_text("\n".join(["epoch,seconds", *rows]) + "\n")
    if beat_s_ago is not None:
        (run / "heartbeat").touch()
        then = time.time() - beat_s_ago
        os.utime(run / "heartbeat", (then, then))
    if done:
        (run / "DONE").write_text("{}")
    if failed:
        (run / "FAILED").write_text(f"2026-01-01T00:00:00+00:00\nTraceback\n{failed}\n")
    return run


@pytest.fixture
def study(tmp_path):
    """Two variants on three folds, each run at another point; one has not begun."""
    collection = tmp_path / "runs" / "cohort"
    write_run(collection, "joint/fold-0_seed-0", epochs=4, seconds=[60] * 4, done=True, beat_s_ago=9999)
    write_run(collection, "joint/fold-1_seed-0", epochs=4, seconds=[30, 60], beat_s_ago=5)
    write_run(collection, "dot/fold-0_seed-0", epochs=4, seconds=[60], failed="MemoryError: out of memory")
    write_run(collection, "dot/fold-1_seed-0", epochs=4, seconds=[60], beat_s_ago=600)
    write_run(collection, "dot/fold-2_seed-0", epochs=4, seconds=[60] * 4, beat_s_ago=1)
    runs = tuple(
        StudyRun(f"{variant}/fold-{fold}_seed-0", variant, variant, [], fold, 0, [])
        for variant in ("joint", "dot")
        for fold in range(3)
    )
    written = Study(collection, "mine", "jsc train -m", runs, ("7",)).record()
    assert find_study("mine", tmp_path / "runs") == written
    return written


def test_every_run_has_its_cell(jsc, study):
    code, out, err = jsc("status", "study=mine", f"runs={study.collection.parent}")
    assert code == 0, err
    lines = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in out.splitlines()]
    assert lines[0] == [
        "study mine: 6 runs, 1 done, 2 running, 1 failed, 1 interrupted, 1 waiting, about 4 min left"
    ]  # 90 s left of one run, 0 of the other, two waiting of (240 + 180 + 240) / 3 s: (90 + 220 + 220 - 60) / 2
    assert lines[1] == ["variant", "fold 0", "fold 1", "fold 2"]
    assert lines[2] == ["joint", "done", "running: epoch 3/4, 2 min left", "waiting"]
    assert lines[3] == ["dot", "failed after epoch 1/4", "interrupted after epoch 1/4", "running: testing"]
    assert lines[4][0].startswith("dot/fold-0_seed-0: MemoryError: out of memory; see ")
    assert str(study.collection / "dot/fold-0_seed-0") in lines[4][0]


def test_without_a_study_all_runs_are_shown(jsc, study):
    code, out, err = jsc("status", f"runs={study.collection.parent}")
    assert code == 0
    assert "study cohort: 5 runs" in out
    assert "jsc status study=mine" in err


def test_seeds_are_separate_rows(tmp_path):
    runs = tuple(StudyRun(f"joint/fold-0_seed-{s}", "joint", "joint", [], 0, s, []) for s in (0, 1))
    console = Console(width=100)
    with console.capture() as output:
        console.print(view(Study(tmp_path, "seeds", "", runs)))
    assert "joint seed 0" in output.get()
    assert "joint seed 1" in output.get()


@pytest.mark.parametrize(("ago_s", "state"), [(170, "running"), (190, "interrupted")])
def test_a_run_is_running_while_its_heartbeat_is_recent(tmp_path, ago_s, state):
    run = write_run(tmp_path, "joint/fold-0_seed-0", epochs=4, beat_s_ago=ago_s)
    assert run_state(run).state == state


def test_the_remaining_time_is_estimated_from_five_epochs(tmp_path):
    run = write_run(tmp_path, "joint/fold-0_seed-0", epochs=10, seconds=[100, 100, 10, 10, 20, 20, 40], beat_s_ago=0)
    assert run_state(run).left_s == pytest.approx(3 * 20)


def test_the_remaining_time_of_a_sweep_is_unknown_without_running_jobs():
    assert time_left_s([RunState("waiting"), RunState("done", 3, 3, 30.0)]) is None
    states = [RunState("waiting"), RunState("running", 1, 3, 10.0, 20.0), RunState("running", 2, 3, 20.0, 10.0)]
    assert time_left_s(states) == pytest.approx((20 + 10 + 30) / 2)
    stopped = [
        RunState("interrupted", 1, 3, 10.0),
        RunState("failed", 1, 3, 10.0),
    ]  # one is resumed
    assert time_left_s([*states, *stopped]) == pytest.approx((20 + 10 + 30 + 30 - 10) / 2)


def test_watching_ends_with_the_last_run(study, tmp_path, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        for folder in study.folders():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "DONE").write_text("{}")

    monkeypatch.setattr(time, "sleep", sleep)
    watch(study, every_s=0.5)
    assert looks == [0.5]


def test_a_paused_study_is_watched_for_some_minutes(tmp_path, monkeypatch):
    run = write_run(tmp_path / "cohort", "joint/fold-0_seed-0", epochs=4, seconds=[9])  # interrupted
    study = Study(tmp_path / "cohort", "s", "", (StudyRun("joint/fold-0_seed-0", "joint", "joint", [], 0, 0, []),))
    assert [watching([RunState(state)]) for state in ("waiting", "running", "interrupted", "failed", "done")] == [
        "active", "active", "paused", "over", "over"
    ]  # fmt: skip
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    watch(study, every_s=60.0)
    assert 300 < clock[0] <= 420
    assert not (run / "DONE").exists()


@pytest.mark.parametrize(
    ("words", "message"), [(("study=other",), "one of the studies mine"), (("runs=nowhere",), "run folders")]
)
def test_a_missing_study_gives_one_sentence(jsc, study, words, message):
    code, out, err = jsc("status", f"runs={study.collection.parent}", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_study_name_in_two_collections_is_ambiguous(jsc, study):
    other = study.collection.parent / "other"
    Study(other, "mine", "", study.runs[:1]).record()
    code, _, err = jsc("status", "study=mine", f"runs={other.parent}")
    assert (code, "collection=" in err) == (2, True)
    assert jsc("status", "study=mine", "collection=other", f"runs={other.parent}")[0] == 0


def test_a_study_keeps_only_its_runs_with_the_same_settings(tmp_path):
    def run(variant, fold, *settings):
        return StudyRun(f"{variant}/fold-{fold}_seed-0", variant, variant, list(settings), fold, 0, [])

    first = Study(tmp_path, "mine", "", (run("joint", 0), run("dot", 0)))
    first.record()
    grown = Study(tmp_path, "mine", "", (run("joint", 1), run("joint", 0))).record()
    assert [each.folder for each in grown.runs] == ["dot/fold-0_seed-0", "joint/fold-1_seed-0", "joint/fold-0_seed-0"]
    changed = Study(tmp_path, "mine", "", (run("joint", 0, "lr-1"),)).record()
    assert len(changed.runs) == 1


def test_unrelated_folders_in_a_collection_are_ignored(jsc, study):
    (study.collection / "foreign" / "fold-a_seed-b").mkdir(parents=True)
    code, out, err = jsc("status", f"runs={study.collection.parent}")
    assert (code, "foreign" in out) == (0, False), err
