"""Tracking: services receive all numbers, and no names of people or machines."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.scan import PreparedStore
from joint_seg_cls.training import (
    CsvTracking,
    JointModule,
    PanelPlan,
    Pseudonyms,
    RunCard,
    TensorBoardTracking,
    Tracker,
    WandbTracking,
    choose_cases,
    publish_weights,
    read_checkpoint,
    start_tracking,
)
from joint_seg_cls.training.backends import MlflowTracking
from joint_seg_cls.training.tracking import PanelPicture

NO_PANEL = PanelPlan(0, 1)


@pytest.fixture
def people(make_store, edit_case, tmp_path):
    """A prepared store with distinctive names of cases, subjects and sessions."""
    folder = make_store(tmp_path / "store")
    record = json.loads((folder / "store.json").read_text())
    names = {}
    for case in record["cases"]:
        names[case] = f"zebrapatient{case}"
        edit_case(folder / case, case=names[case], subject=f"quaggaperson{case}", session=f"okapivisit{case}")
        (folder / case).rename(folder / names[case])
    record["cases"] = sorted(names.values())
    (folder / "store.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def train(jsc, people, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")

    def run(*words, epochs=2, runs="runs", code=0):
        settings = (
            f"data.store={people}", f"runs={tmp_path / runs}", f"trainer.max_epochs={epochs}", "network.channels=4",
            "data.workers=0", "data.folds.count=2", "data.validation_fraction=0.25", "trainer.accelerator=cpu",
            "optimizer.lr=0.0123", *words,
        )  # fmt: skip
        found, _, run.err = jsc("train", *settings)
        assert found == code, run.err
        return next((tmp_path / runs).glob("*/*/fold-*"))

    return run


def records(run):
    """Return the records in a run's offline files, oldest first, read by W&B's reader."""
    found = []
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        words = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
        out = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
        found.append([json.loads(line) for line in out.splitlines()])
    return found


def of_kind(found, kind):
    return [record[kind] for record in found if record["type"] == kind]


def values(record):
    if isinstance(record, dict):
        return [found for value in record.values() for found in values(value)]
    if isinstance(record, list):
        return [found for value in record for found in values(value)]
    return [record]


def test_an_offline_run_has_all_numbers_pictures_and_the_table_without_names(train, people, tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "numbatuser")
    run = train("tracking=wandb", "tracking.panel.every_epochs=1", "study=mystudy", "tables=[7]", "ablation=only_local")
    assert "failed" not in train.err
    (found,) = records(run)
    (card,) = of_kind(found, "run")
    assert (card["project"], card["run_group"], card["job_type"]) == ("joint_seg_cls", "mystudy", "train")
    assert set(card["tags"]) == {"table 7", "only_local", "strict"}
    assert card["display_name"] == f"{run.parent.name}-f0-s0"
    assert card["config"]["update"]["optimizer.lr"] == 0.0123
    assert card["config"]["update"]["data_hash"] == PreparedStore(people).content_hash

    history = [record["item"] for record in of_kind(found, "history")]
    logged = set().union(*history)
    terms = ("segmentation", "classification", "cross_task", "total")
    assert {f"{split}/loss/{term}" for split in ("train", "val") for term in terms} <= logged
    assert {"val/dice", "val/auc", "val/acc", "val/score", "lr", "seconds_per_step"} <= logged
    rows = pd.read_csv(run / "metrics.csv")
    tracked = [record["train/loss/total"] for record in history if "train/loss/total" in record]
    np.testing.assert_allclose(tracked, rows["train/loss/total"], rtol=1e-5)
    summary = {key: value for record in of_kind(found, "summary") for key, value in record["update"].items()}
    test = pd.read_csv(run / "summary.csv").set_index(["metric", "space"])["value"]
    assert summary["test/auc"] == pytest.approx(test["AUC", "scan"])
    assert summary["test/dsc_model"] == pytest.approx(test["DSC", "model"], abs=1e-6)

    (folder,) = run.glob("wandb/offline-run-*")
    key = json.loads((run / "pseudonyms.json").read_text())["cases"]
    table = json.loads((folder / "files" / summary["test/cases.path"]).read_text())
    per_case = pd.read_csv(run / "per_case.csv")
    column = dict(zip(table["columns"], zip(*table["data"], strict=True), strict=True))
    assert set(column["case"]) == {key[case] for case in per_case["case"]}
    np.testing.assert_allclose(column["p_NMOSD"], per_case["p_NMOSD"], rtol=1e-4)
    drawn = {name for record in history for name in record if re.fullmatch(r"panel/case-\w+\.path", name)}
    assert len(drawn) == 2, "both validation cases"
    steps = [record["trainer/global_step"] for record in history if min(drawn) in record]
    assert steps == sorted(set(steps))
    assert len(steps) == 2, "after each of both epochs, the last one not twice"
    caption = summary[min(drawn).replace(".path", ".caption")]
    assert "image | reference | prediction | location map" in caption
    assert "(validation)" in caption

    assert of_kind(found, "artifact") == [], "weights are sent on request only"
    assert of_kind(found, "environment") == []
    assert of_kind(found, "stats") == []
    assert card["host"] == "-"
    assert socket.gethostname() not in values(found)
    private = ["zebrapatient", "quaggaperson", "okapivisit", "numbatuser", str(tmp_path), str(Path.home()) + "/"]
    private += [sys.executable, os.fspath(Path.cwd()), "optimizer.lr=0.0123", "github.com"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".wandb", ".png", ".json"}
    for path in files:
        content = path.read_bytes()
        assert [word for word in private if word.encode() in content] == [], path


@pytest.mark.slow
def test_a_resumed_run_continues_its_wandb_run_and_another_run_has_another(train, monkeypatch):
    step = JointModule.training_step

    def dies(self, batch, batch_index):
        if self.current_epoch == 1:
            raise MemoryError("the machine went away")
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(JointModule, "training_step", dies)
        with pytest.raises(MemoryError):
            train("tracking.panel.cases=0")
    run = train("tracking.panel.cases=0")
    first, second = records(run)
    assert of_kind(first, "run")[0]["run_id"] == of_kind(second, "run")[0]["run_id"]
    assert of_kind(second, "run")[0]["resume"] is True
    steps = [
        [row["item"]["trainer/global_step"] for row in of_kind(part, "history") if "lr" in row["item"]]
        for part in (first, second)
    ]
    assert max(steps[0]) < min(steps[1])
    assert of_kind(first, "exit")[0]["exit_code"] == 1
    other = train("tracking.panel.cases=0", "seed=1", runs="other", epochs=1)
    (third,) = records(other)  # in the same process, as in a sweep
    assert of_kind(third, "run")[0]["run_id"] != of_kind(first, "run")[0]["run_id"]
    assert len(of_kind(records(run)[1], "history")) == len(of_kind(second, "history")), "nothing went into the old run"


@pytest.mark.slow
def test_a_fine_tuned_run_does_not_reveal_the_path_of_its_start(train, tmp_path):
    start = train("tracking=none", epochs=1, runs="wombatfolder")
    run = train(f"init_from={start}", "tracking.panel.cases=0", "study=mystudy", epochs=1, runs="tuned")
    assert re.search(r"init_from-[0-9a-f]{6}[+-]", run.parent.name), "a digest, no part of a path"
    (found,) = records(run)
    assert of_kind(found, "run")[0]["config"]["update"]["fine_tuned"] is True
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    assert [word for word in ("wombatfolder", tmp_path.name) if word.encode() in file.read_bytes()] == []


class Silent:
    """A service that accepts everything."""

    @property
    def logger(self):
        return self

    def log_metrics(self, values, step):
        pass

    log_pictures = log_table = log_model = finish = log_metrics


class Unreliable:
    """A service whose every call fails."""

    def __init__(self):
        self.calls = 0
        self.logger = self

    def __getattr__(self, name):
        def fail(*args, **kwargs):
            self.calls += 1
            raise ConnectionResetError("the service went away")

        return fail


def test_a_failing_service_is_reported_once_and_does_not_stop_the_run(train, monkeypatch):
    service = Unreliable()
    monkeypatch.setattr(WandbTracking, "open", lambda *_: service)
    run = train("tracking.panel.every_epochs=1")
    assert (run / "DONE").is_file()
    assert train.err.count("the service went away") == 1
    assert train.err.count("the run continues without it") == 1
    assert service.calls == 1


@pytest.mark.parametrize("reason", ["absent", "refuses"])
def test_a_missing_or_failing_service_is_one_warning(train, monkeypatch, reason):
    if reason == "absent":
        monkeypatch.setitem(sys.modules, "wandb", None)
    else:
        import wandb

        def refuse(**_):
            raise wandb.errors.UsageError("No API key configured.")

        monkeypatch.setattr(wandb, "init", refuse)
    run = train(epochs=1)
    assert (run / "DONE").is_file()
    assert train.err.count("the run continues without it") == 1
    assert not (run / "wandb").exists()


def test_ctrl_c_during_tracking_stops_the_run(tmp_path):
    class Stopped(Silent):
        def log_metrics(self, values, step):
            raise KeyboardInterrupt

    tracker = Tracker(Stopped(), RunCard("g", "n", "train", [], "id", tmp_path, tmp_path))
    with pytest.raises(KeyboardInterrupt):
        tracker.log_metrics({"x": 1.0}, 0)


@pytest.mark.parametrize("extra", ["tensorboard", "mlflow"])
def test_a_missing_extra_is_reported_with_the_install_command(monkeypatch, tmp_path, caplog, extra):
    blocked = {"tensorboard": "torch.utils.tensorboard", "mlflow": "mlflow"}[extra]
    monkeypatch.setitem(sys.modules, blocked, None)
    tracking = TensorBoardTracking(NO_PANEL) if extra == "tensorboard" else MlflowTracking("e", None, None, NO_PANEL)
    with caplog.at_level(logging.WARNING):
        assert start_tracking(tracking, RunCard("g", "n", "train", [], "id", tmp_path, tmp_path)) is None
    assert f'pip install "joint_seg_cls[{extra}]"' in caplog.text


@pytest.mark.slow
def test_tracking_changes_no_number(train):
    plain = train("tracking=none", runs="plain")
    watched = train("tracking=csv", "tracking.panel.every_epochs=1", runs="watched")
    clock = ["seconds", "seconds_per_step"]
    tables = [pd.read_csv(run / "metrics.csv").drop(columns=clock) for run in (plain, watched)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert (pd.read_csv(plain / "metrics.csv")["seconds_per_step"] > 0).all()
    assert not (plain / "pseudonyms.json").exists()


@pytest.mark.slow
def test_plain_files_have_numbers_panels_and_the_table(train):
    run = train("tracking=csv", epochs=3)
    rows = pd.read_csv(run / "tracking" / "version_0" / "metrics.csv")
    losses = rows.dropna(subset=["train/loss/total"])
    assert losses["step"].is_monotonic_increasing
    np.testing.assert_allclose(
        losses["train/loss/total"], pd.read_csv(run / "metrics.csv")["train/loss/total"], rtol=1e-6
    )
    test = pd.read_csv(run / "summary.csv").set_index(["metric", "space"])["value"]
    (tested,) = rows.dropna(subset=["test/auc"]).to_dict("records")
    assert (tested["test/auc"], tested["step"]) == (pytest.approx(test["AUC", "scan"]), losses["step"].max())
    assert len(list((run / "tracking" / "panel").glob("case-*_step-*.png"))) == 2, "the last epoch alone of three"
    table = pd.read_csv(run / "tracking" / "test" / "cases.csv")
    assert table["case"].str.startswith("case-").all()
    assert not {"subject", "session"} & set(table)


@pytest.mark.slow
def test_tensorboard_reads_the_files_and_none_names_the_machine(train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train("tracking=tensorboard", "tracking.panel.every_epochs=1")
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    losses = [event.value for event in events.Scalars("train/loss/segmentation")]
    np.testing.assert_allclose(losses, pd.read_csv(run / "metrics.csv")["train/loss/segmentation"], rtol=1e-6)
    assert any(tag.startswith("panel/case-") for tag in events.Tags()["images"])
    (path,) = (run / "tensorboard").iterdir()
    assert re.fullmatch(r"events\.out\.tfevents\.\d+\.\d+\.\d+", path.name)
    assert b"zebrapatient" not in path.read_bytes()


def test_mlflow_reads_the_run_and_a_resumed_run_continues(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    folder = tmp_path / "runs" / "store" / "joint" / "fold-0_seed-0"
    card = RunCard(
        "study", "joint-f0-s0", "train", ["table 5"], "abc", folder, tmp_path / "runs", {"optimizer.lr": 0.1}
    )
    picture = PanelPicture("case-1", np.zeros((4, 5, 3), np.uint8), "nothing")
    for step in (3, 7):
        tracker = start_tracking(MlflowTracking("joint_seg_cls", None, None, NO_PANEL), card)
        tracker.log_metrics({"val/dice": step / 10}, step)
        tracker.log_pictures("panel", [picture], step)
        tracker.log_table("test/cases", pd.DataFrame({"case": ["case-1"], "dsc": [0.5]}))
        tracker.finish()
    assert not any(str(tmp_path) in path.read_text() for path in tmp_path.rglob("meta.yaml"))
    (tmp_path / "runs").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    client = MlflowClient((tmp_path / "moved" / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("joint_seg_cls").experiment_id])
    assert run.info.status == "FINISHED"
    assert (run.data.tags["group"], run.data.params["optimizer.lr"]) == ("study", "0.1")
    dice = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "val/dice")]
    assert dice == [(3, 0.3), (7, 0.7)]
    assert len(client.list_artifacts(run.info.run_id, "panel")) == 2
    (table,) = client.list_artifacts(run.info.run_id, "test")
    assert Path(client.download_artifacts(run.info.run_id, table.path)).read_text() == "case,dsc\ncase-1,0.5\n"
    assert "MLFLOW_TRACKING_URI" not in os.environ, "the next run of this process has its own folder"
    assert "mlflow.user" not in run.data.tags


def test_pseudonyms_are_stored_with_the_run_and_unique_to_it(tmp_path):
    cases = {"a_1": ("a", "1st"), "b": ("b", None)}
    runs = [tmp_path / name for name in ("one", "two")]
    for run in runs:
        run.mkdir()
    first, again, other = (Pseudonyms.of(run, cases) for run in (runs[0], runs[0], runs[1]))
    assert first.key == again.key == json.loads((runs[0] / "pseudonyms.json").read_text())["cases"]
    assert first.id_of("train") == again.id_of("train") != first.id_of("evaluation of c")
    assert not set(first.key.values()) & set(other.key.values())
    assert first.id_of("train") != other.id_of("train")
    assert Pseudonyms.of(runs[0], {"c": ("c", None)})["a_1"] == first["a_1"]
    assert set(json.loads((runs[0] / "pseudonyms.json").read_text())["cases"]) == {"a_1", "b", "c"}
    (runs[1] / "pseudonyms.json").write_text("{")
    with pytest.raises(ConfigError, match="key to the run's pseudonyms"):
        Pseudonyms.of(runs[1], cases)


@pytest.mark.slow
def test_a_damaged_key_stops_the_tracking_but_not_the_training(train):
    run = train("tracking=csv", "tracking.panel.cases=0", epochs=1)
    (run / "DONE").unlink()
    (run / "pseudonyms.json").write_text("{")
    train("tracking=csv", "tracking.panel.cases=0", epochs=1)
    assert "this run is not tracked" in train.err
    assert (run / "DONE").is_file()


def test_published_values_have_no_paths_and_names(tmp_path):
    (tmp_path / "here").mkdir()
    names = Pseudonyms("salt", {"a_1": ("anna", "2020-01-02")})
    shown = names.publishable(
        {
            "store": "/data/x", "home": "~/x", "drive": "C:\\x", "from": "../x", "at": "https://host/x", "p": tmp_path,
            "there": os.path.relpath(tmp_path / "here"), "monitor": "val/loss/total", "lr": 0.1, "who": ["anna", "b"],
            "nested": {"a_1": 1, "q": "in /data/x"}, "when": "2020-01-02", "none": None,
        }
    )  # fmt: skip
    person, visit = (names.publishable(word) for word in ("anna", "2020-01-02"))
    assert shown == {
        "monitor": "val/loss/total", "lr": 0.1, "who": [person, "b"], "nested": {names["a_1"]: 1}, "when": visit,
        "none": None,
    }  # fmt: skip
    assert re.fullmatch(r"person-[0-9a-f]{8}", person)
    assert person != visit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("without sub-07", "without {sub-07}"),
        ("sub-07_ses-1, sub-07", "{sub-07_ses-1}, {sub-07}"),
        ("a_sub-07+b", "a_{sub-07}+b"),
        ("sub-071 and xsub-07", "sub-071 and xsub-07"),
        ("anna is in joint_1e-3", "anna is in joint_1e-3"),
    ],
)
def test_a_name_within_a_longer_text_is_replaced_if_it_is_unambiguous(text, expected):
    names = Pseudonyms("salt", {"sub-07_ses-1": ("sub-07", "1"), "anna": ("anna", None)})
    shown = {name: names.publishable(name) for name in ("sub-07_ses-1", "sub-07")}
    assert len(set(shown.values()) | set(shown)) == 4
    assert names.publishable(text) == re.sub(r"\{(.+?)\}", lambda found: shown[found[1]], expected)


@pytest.mark.slow
def test_published_weights_can_be_used_and_have_no_paths(train, tmp_path):
    run = train("tracking=none", epochs=1)
    kept = {}

    class Shelf(Silent):
        def log_model(self, path, name):
            kept[name] = tmp_path / path.name
            kept[name].write_bytes(path.read_bytes())

    tracker = Tracker(Shelf(), RunCard("g", "n", "train", [], "id", run, run))
    publish_weights(tracker, run / "checkpoints" / "last.ckpt", "last", Pseudonyms("salt", {}))
    content = torch.load(kept["last"], weights_only=True)
    assert set(content) == {"state_dict", "joint_seg_cls", "epoch"}
    assert str(tmp_path).encode() not in kept["last"].read_bytes()
    sent, own = read_checkpoint(kept["last"]), read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert sent.recipe == own.recipe
    assert all(torch.equal(value, own.weights[name]) for name, value in sent.weights.items() if name in own.weights)


@pytest.mark.slow
def test_weights_are_uploaded_on_request(train):
    run = train("tracking.upload=best", "tracking.panel.cases=0", epochs=1)
    (artifact,) = of_kind(records(run)[0], "artifact")
    assert (artifact["type"], set(artifact["aliases"])) == ("model", {"best", "latest"})


@pytest.mark.slow
def test_an_evaluation_is_a_separate_run_in_the_trainings_group(train, jsc):
    run = train("tracking=none", "study=mystudy", epochs=1)
    code, _, err = jsc("evaluate", f"run={run}", "device=cpu", "fold=1", "tracking=wandb")
    assert (code, "failed" in err) == (0, False), err
    (run / "pseudonyms.json").rename(run / "kept.json")
    (run / "pseudonyms.json").write_text("{")  # a damaged key only stops the tracking
    code, out, err = jsc("evaluate", f"run={run}", "device=cpu", "fold=1", "name=again", "tracking=wandb")
    assert (code, "this test is not tracked" in err, "AUC" in out) == (0, True, True), err
    (run / "kept.json").replace(run / "pseudonyms.json")
    (found,) = records(run / "evaluations" / "fold-1")
    (card,) = of_kind(found, "run")
    assert (card["job_type"], card["run_group"]) == ("eval", "mystudy")
    summary = {key: value for record in of_kind(found, "summary") for key, value in record["update"].items()}
    assert {"test/auc", "test/cases.path"} <= set(summary)
    key = json.loads((run / "pseudonyms.json").read_text())["cases"]
    assert set(pd.read_csv(run / "evaluations" / "fold-1" / "per_case.csv")["case"]) == set(key)
    assert card["run_id"] != Pseudonyms.of(run, {}).id_of("train")


def test_the_panel_shows_equally_many_cases_of_each_class(store):
    cases = PreparedStore(store).cases
    names = ["s0", "s1", "s2", "s4", "s6"]
    chosen = [case.case for case in choose_cases(cases, names, 3)]
    assert chosen == ["s0", "s1", "s6"]
    assert [case.case for case in choose_cases(cases, names[::-1], 3)] == chosen
    assert {case.case for case in choose_cases(cases, names, 99)} == set(names)


def test_the_machine_is_recorded_on_request(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    card = RunCard("g", "n", "eval", ["t"], "abc", tmp_path, tmp_path, {})
    tracker = start_tracking(WandbTracking("p", None, "offline", None, True, NO_PANEL), card)
    tracker.finish()
    (found,) = records(tmp_path)
    assert of_kind(found, "run")[0]["host"] == socket.gethostname()
    assert of_kind(found, "environment")
    assert of_kind(found, "run")[0]["job_type"] == "eval"


def test_the_environment_disables_wandb(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    card = RunCard("g", "n", "train", [], "abc", tmp_path, tmp_path)
    assert start_tracking(WandbTracking("p", None, "online", None, False, NO_PANEL), card) is None
    assert list(tmp_path.iterdir()) == []


def test_every_tracking_builds(jsc):
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from joint_seg_cls.config import resolvers
    from joint_seg_cls.config.build import build
    from joint_seg_cls.config.resolvers import config_folder

    resolvers.register()
    kinds = {}
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        for path in (config_folder() / "tracking").glob("*.yaml"):
            config = compose("train", ["data.store=s", f"tracking={path.stem}"]).tracking
            kinds[path.stem] = type(build(config)) if config else None
            if config:
                assert (build(config).panel.cases, build(config).upload) == (8, None)
    GlobalHydra.instance().clear()
    expected = {
        "wandb": WandbTracking,
        "tensorboard": TensorBoardTracking,
        "mlflow": MlflowTracking,
        "csv": CsvTracking,
    }
    assert kinds == expected | {"none": None}
