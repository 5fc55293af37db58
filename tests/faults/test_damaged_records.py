"""Damaged records are a named failure or an unknown state, without other exceptions."""

import json
import random

import pytest

from joint_seg_cls.atomic_write import read_json
from joint_seg_cls.audit import read_audit
from joint_seg_cls.data import Folds, freeze, read_frozen
from joint_seg_cls.errors import InputError
from joint_seg_cls.report import ReportRun
from joint_seg_cls.report.circumstances import contaminated, distinct_values, initial_weights, unseen
from joint_seg_cls.run_state import differing_code, run_code, run_state
from joint_seg_cls.scan import PreparedStore
from joint_seg_cls.sweep.study import Study, StudyRun, read_study
from joint_seg_cls.training import RunFolder
from joint_seg_cls.training.pseudonyms import KEY_FILE, Pseudonyms

#: Wrong values of a record's entry.
_WRONG = [None, True, -1, 1e999, "x", "", [], {}, [1], {"a": 1}, ["../.."], "\0"]


def mutations(text, count, seed):
    """Yield damaged forms of a JSON text: cut, with bytes changed, with values of another kind, with keys lost."""
    draw = random.Random(seed)
    for _ in range(count):
        kind = draw.randrange(4)
        raw = bytearray(text.encode())
        if kind == 0:
            yield bytes(raw[: draw.randrange(len(raw))])
        elif kind == 1:
            for _ in range(draw.randrange(1, 6)):
                raw[draw.randrange(len(raw))] = draw.randrange(256)
            yield bytes(raw)
        else:
            yield json.dumps(_changed(json.loads(text), draw, lose=kind == 3)).encode()


def _changed(record, draw, *, lose):
    places = list(_places(record))
    holder, key = draw.choice(places)
    if lose:
        del holder[key]
    else:
        holder[key] = draw.choice(_WRONG)
    return record


def _places(value):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_damaged_list_of_runs_is_refused_by_name(tmp_path, count):
    run = StudyRun("joint/fold-0_seed-0", "joint", "joint", ["a-1"], 0, 0, ["fold=0"])
    study = Study(tmp_path, "mine", "jsc", (run, run))
    study.path.parent.mkdir(parents=True)
    for raw in mutations(json.dumps(study.content()), count, seed=1):
        study.path.write_bytes(raw)
        try:
            found = read_study(study.path)
        except InputError:
            continue
        for folder in found.folders():
            assert folder.is_relative_to(tmp_path)
            run_state(folder)


@pytest.mark.parametrize("folder", ["/etc", "../other/joint/fold-0_seed-0", "", ".", "a\0b"])
def test_a_list_of_runs_may_name_only_folders_of_its_collection(tmp_path, folder):
    study = Study(tmp_path, "mine", "jsc", (StudyRun(folder, "joint", "joint", [], 0, 0, []),))
    study.path.parent.mkdir(parents=True)
    study.path.write_text(json.dumps(study.content()))
    with pytest.raises(InputError, match=r"mine\.json: expected a study's list of runs, found a damaged file"):
        read_study(study.path)


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_damaged_run_is_reported_or_has_an_unknown_state(tmp_path, count):
    identity = {"data_hash": "a", "folds_hash": "b", "results_version": 1, "code.lab": "0"}
    started = {"is_known": True, "trained_on_test": {"scans": 1, "by_subject": 0}}
    provenance = {"identity": identity, "earlier_code": [{"code.lab": "1"}], "started_from": started}
    config = {"trainer": {"max_epochs": 3}, "data": {"store": "s"}, "init_from": "a"}
    run = RunFolder(tmp_path)
    sound = {
        "provenance.json": json.dumps(provenance),
        "config.yaml": json.dumps(config),
        "metrics.csv": "epoch,seconds,val/score\n0,1.0,0.5\n1,2.0,0.6\n",
    }
    for name, text in sound.items():
        (tmp_path / name).write_text(text)
    assert run_code(tmp_path) == {"results_version": "1 then None", "code.lab": "0 then 1"}
    for name, text in sound.items():
        source = text if name != "metrics.csv" else json.dumps(text)
        for raw in mutations(source, count, seed=2) if name != "metrics.csv" else _cut(text, count):
            (tmp_path / name).write_bytes(raw)
            run_state(tmp_path, 0.0)
            differing_code([tmp_path])
            shown = ReportRun(tmp_path, "joint", "joint", 0, 0)
            distinct_values([shown], initial_weights), unseen([shown]), contaminated([shown])
            for read in (run.identity, run.best_score):
                try:
                    read()
                except InputError:
                    continue
        (tmp_path / name).write_text(text)


def _cut(text, count):
    draw = random.Random(3)
    for _ in range(count):
        raw = bytearray(text.encode())
        for _ in range(draw.randrange(1, 5)):
            raw[draw.randrange(len(raw))] = draw.randrange(256)
        yield bytes(raw[: draw.randrange(len(raw) + 1)])


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_damaged_folds_are_refused_by_name(store, count):
    opened = PreparedStore(store)
    path = freeze(opened, Folds(kind="strict", count=2), 0.0).path
    assert path is not None
    text = path.read_text()
    sound = read_frozen(path, opened).hash
    for raw in mutations(text, count, seed=4):
        path.write_bytes(raw)
        try:
            found = read_frozen(path, opened)
        except InputError:
            continue
        assert found.hash == sound  # what is read is what was frozen


def test_json_that_is_nested_too_deeply_is_a_damaged_file(tmp_path, store):
    deep = "[" * 100_000
    run = RunFolder(tmp_path / "run")
    (tmp_path / "run" / "evaluations" / "a").mkdir(parents=True)
    for path in (run.path / "audit.json", run.provenance, run.path / KEY_FILE, run.path / "evaluations/a/tested.json"):
        path.write_text(deep)
    (store / ".verified.json").write_text(deep)
    assert (read_audit(run.path / "audit.json"), run_code(run.path)) == (None, None)
    assert read_json(run.path / "evaluations/a/tested.json") == {}
    assert len(PreparedStore(store).cases) == 8
    with pytest.raises(InputError, match=r"a damaged file \(RecursionError\)"):
        run.identity()
    with pytest.raises(InputError, match="the key to the run's pseudonyms"):
        Pseudonyms.of(run.path, {})
