"""A run belongs to the code that trained it: the user's classes, and this program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import joint_seg_cls
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.runs.provenance import KNOWN, _targets, sources_of
from joint_seg_cls.training import RunFolder

OWN = "own_lab_losses"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a user's module with a loss that imports another module; return the folder."""
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / f"{OWN}.py").write_text(
        "from own_lab_parts import half\n"
        "from joint_seg_cls.losses import DiceCrossEntropyLoss\n"
        "def Loss(**words):\n"
        "    return DiceCrossEntropyLoss(**words)\n"
    )
    (folder / "own_lab_parts.py").write_text("half = 0.5\n")
    (folder / "unrelated.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in (OWN, "own_lab_parts"):
        sys.modules.pop(name, None)


def digests(folder):
    del folder
    return {source.name: source.digest() for source in sources_of({"loss": {"_target_": f"{OWN}.Loss"}})}


def test_the_code_of_a_class_is_its_module_and_imports(own):
    before = digests(own)
    assert set(before) == {OWN, "own_lab_parts"}
    (own / "unrelated.py").write_text("a = 2\n")
    assert digests(own) == before
    (own / "own_lab_parts.py").write_text("half = 0.25\n")
    after = digests(own)
    assert (after[OWN] == before[OWN], after["own_lab_parts"] == before["own_lab_parts"]) == (True, False)


def test_targets_are_found_at_any_depth():
    config = {
        "callbacks": [{"_target_": "a.B", "inner": {"_target_": "c.D"}}],
        "made": {"_target_": "hydra.utils.get_class", "path": "e.F"},
    }
    assert set(_targets(config)) == {"a.B", "c.D", "hydra.utils.get_class", "e.F"}


def test_every_shipped_target_is_in_a_package_with_a_recorded_version():
    for path in config_folder().rglob("*.yaml"):
        named = {target.split(".")[0] for target in _targets(yaml.safe_load(path.read_text()))}
        assert named <= KNOWN, path


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_a_run_with_changed_code_is_refused_unless_accepted(train, own, monkeypatch):
    git(own, "init", "-q")
    git(own, "remote", "add", "origin", "https://secret.example/lab.git")
    git(own, "add", ".")
    git(own, "commit", "-qm", "one")
    word = f"loss.segmentation._target_={OWN}.Loss"
    run = train(word, epochs=1)
    record = json.loads((run / "provenance.json").read_text())
    assert record["identity"]["results_version"] == joint_seg_cls.RESULTS_VERSION
    assert set(record["identity"]) >= {f"code.{OWN}", "code.own_lab_parts"}
    assert len(record["git"][OWN]["revision"]) == 40
    assert record["git"][OWN]["changed"] is False
    assert "secret" not in json.dumps(record)
    train(word, epochs=1)
    assert "is done" in train.err

    (own / "own_lab_parts.py").write_text("half = 0.25\n")
    train(word, epochs=1, code=2)
    assert "expected a run of the present code, found a run of other code (own_lab_parts)" in train.err
    assert train.err.count("error:") == 1
    train(word, "accept=[code]", epochs=1)
    assert "is done" in train.err

    (run / "DONE").unlink()  # as if it had been interrupted before its test
    train(word, epochs=1, code=2)
    train(word, "accept=[code]", epochs=1)
    record = json.loads((run / "provenance.json").read_text())
    assert record["git"]["own_lab_parts"]["changed"] is True
    (earlier,) = record["earlier_code"]
    assert earlier["code.own_lab_parts"] != record["identity"]["code.own_lab_parts"]
    monkeypatch.setattr(joint_seg_cls, "RESULTS_VERSION", joint_seg_cls.RESULTS_VERSION + 1)
    train(word, epochs=1, code=2)
    assert "found a run of other code (results_version)" in train.err


def test_runs_without_a_record_of_code_have_version_one(tmp_path, monkeypatch):
    with RunFolder(tmp_path).recording({"data_hash": "a"}, "a: 1"):
        pass
    own = {"data_hash": "a", "results_version": 1, "code.lab": "0"}
    RunFolder(tmp_path).refuse_other(own)
    with pytest.raises(joint_seg_cls.errors.ConfigError, match="of other code"):
        RunFolder(tmp_path).refuse_other(own | {"results_version": 2})
    with pytest.raises(joint_seg_cls.errors.ConfigError, match="data_hash"):
        RunFolder(tmp_path).refuse_other(own | {"data_hash": "b"}, accept_code=True)


def test_status_lists_runs_of_different_code_in_one_study(jsc, tmp_path):
    for number, version in enumerate((1, 1, 2)):
        run = tmp_path / "runs" / "store" / "joint" / f"fold-{number}_seed-0"
        run.mkdir(parents=True)
        (run / "provenance.json").write_text(json.dumps({"identity": {"results_version": version}}))
    code, out, err = jsc("status", f"runs={tmp_path / 'runs'}")
    assert code == 0, err
    assert "results_version: these runs used different code: 1: joint/fold-0_seed-0, joint/fold-1_seed-0; 2:" in out


def test_a_run_finished_on_a_gpu_is_done_on_a_cpu_machine(train, monkeypatch):
    run = train(epochs=1)
    path = Path(run / "provenance.json")
    record = json.loads(path.read_text())
    record["identity"]["trainer.precision"] = "bf16-mixed"
    path.write_text(json.dumps(record))
    train(epochs=1)
    assert "is done" in train.err
