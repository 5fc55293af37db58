"""`jsc prepare` and `jsc evaluate` never replace a file that they did not write."""

import json
import shutil

import pytest

NOTES = "notes of a user\n"


@pytest.fixture
def run(world, jsc, monkeypatch):
    monkeypatch.chdir(world)
    return next(world.glob("runs/store/*/fold-0_seed-0")).relative_to(world)


def refused(result, file):
    code, _, err = result
    assert (code, "of other origin" in err, err.count("error: ")) == (2, True, 1), err
    assert file.read_text() == NOTES


@pytest.mark.parametrize("name", ["tested.json", "per_case.csv", "summary.csv", "regions.csv"])
def test_a_test_keeps_files_of_other_origin(run, jsc, name):
    file = run / "evaluations" / name.partition(".")[0] / name
    file.parent.mkdir(parents=True)
    words = ("evaluate", f"run={run}", f"name={file.parent.name}", "device=cpu")
    file.write_text(NOTES)
    refused(jsc(*words), file)
    assert list(file.parent.iterdir()) == [file]
    file.unlink()
    assert [jsc(*words)[0] for _ in range(2)] == [0, 0]
    file.write_text(NOTES)
    refused(jsc(*words), file)


def test_a_test_that_was_stopped_while_it_wrote_is_repeated(run, jsc):
    folder = run / "evaluations" / "stopped"
    words = ("evaluate", f"run={run}", "name=stopped", "device=cpu")
    assert jsc(*words)[0] == 0
    record = json.loads((folder / "tested.json").read_text())
    assert set(record.pop("files")) == {"per_case.csv", "summary.csv"}
    (folder / "tested.json").write_text(json.dumps(record))
    (folder / "summary.csv").write_text("half")
    assert jsc(*words)[0] == 0
    assert (folder / "summary.csv").read_text() != "half"


def prepare(jsc, faults, store, *words):
    return jsc("prepare", "cohort=cohort.tsv", f"store={store}", "workers=0", *faults.prepare, *words)


def test_a_store_keeps_files_of_other_origin(run, jsc, faults, tmp_path):
    other = tmp_path / "store"
    other.mkdir()
    (other / "store.json").write_text(NOTES)
    refused(prepare(jsc, faults, other), other / "store.json")
    (other / "store.json").unlink()
    (other / "store.json").mkdir()
    assert prepare(jsc, faults, other)[0] == 2
    (other / "store.json").rmdir()
    assert [prepare(jsc, faults, other)[0] for _ in range(2)] == [0, 0]
    (other / "quality.tsv").write_text(NOTES)
    refused(prepare(jsc, faults, other), other / "quality.tsv")
    (other / "quality.tsv").unlink()
    (other / "s0" / "notes.txt").write_text(NOTES)
    assert prepare(jsc, faults, other)[0] == 0  # the case is complete, so nothing is replaced
    (other / "s0" / "image.npy").unlink()
    refused(prepare(jsc, faults, other), other / "s0" / "notes.txt")
    (other / "s0" / "notes.txt").rename(tmp_path / "notes.txt")
    assert prepare(jsc, faults, other)[0] == 0
    assert (other / "s0" / "image.npy").exists()


def test_a_damaged_record_of_a_store_is_kept_and_the_remedy_works(run, jsc, faults, world, tmp_path):
    store = shutil.copytree(world / "store", tmp_path / "store")
    (store / "store.json").write_text(NOTES)
    train = ("fold=0", f"runs={tmp_path / 'runs'}", "evaluate=false", *faults.small)
    code, _, err = jsc("train", f"data.store={store}", *train)
    assert (code, "restore it, or prepare the cohort again into another store=" in err) == (2, True), err
    refused(prepare(jsc, faults, store), store / "store.json")
    assert prepare(jsc, faults, tmp_path / "another")[0] == 0
    assert jsc("train", f"data.store={tmp_path / 'another'}", *train)[0] == 0
