"""A run started by an agent of a W&B sweep: command line and environment, without a network connection."""

import json
import os
import subprocess
import sys

import pytest

from joint_seg_cls.config.grammar import without_hyphens
from joint_seg_cls.training import PanelPlan, RunCard, WandbTracking, start_tracking


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--fold=1", "fold=1"),
        ("--data.store=a=b", "data.store=a=b"),
        ("--data/folds=file", "data/folds=file"),
        ("--evaluate=True", "evaluate=True"),
        ("--scheduler=None", "scheduler=null"),
        ("--config-dir=folder", "--config-dir=folder"),
        ("--cfg=job", "--cfg=job"),
        ("--multirun", "--multirun"),
        ("-m", "-m"),
        ("name=None", "name=None"),
        ("name=--x=1", "name=--x=1"),
    ],
)
def test_words_with_hyphens_set_keys_unless_they_are_flags(word, expected):
    assert without_hyphens(word) == expected


class Run:
    """A stand-in for the result of `wandb.init`."""

    def define_metric(self, *_, **__):
        pass


@pytest.mark.parametrize("agent", [True, False])
def test_the_environment_sets_the_folder_and_the_agent_the_run(tmp_path, monkeypatch, agent):
    import wandb

    requested = {}
    monkeypatch.setattr(wandb, "init", lambda **words: requested.update(words) or Run())
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    if agent:
        monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
        monkeypatch.setenv("WANDB_RUN_ID", "agentrun")
    card = RunCard("g", "n", "train", [], "own", tmp_path / "run", tmp_path)
    assert start_tracking(WandbTracking("p", None, "online", None, False, PanelPlan(0, 1)), card) is not None
    assert requested["dir"] == tmp_path / "elsewhere"
    assert requested["dir"].is_dir()
    assert (requested["id"], requested["project"]) == ((None, None) if agent else ("own", "p"))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["args", "args_no_hyphens"])
def test_an_agents_command_trains_into_the_agents_run(store, tmp_path, form):
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    parameters = {
        "data.store": str(store), "runs": str(tmp_path / "runs"), "optimizer.lr": 0.0123, "fold": 1, "evaluate": False,
        "trainer.max_epochs": 1, "network.channels": 4, "data.folds.count": 2, "data.workers": 0,
        "trainer.accelerator": "cpu", "tracking.panel.cases": 0,
    }  # fmt: skip
    command = {"args": {name: {"value": value} for name, value in parameters.items()}}
    place = tmp_path / "agent"
    configuration = place / "wandb" / "sweep-sweep1" / "config-agentrun.yaml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("wandb_version: 1\noptimizer.lr:\n  value: 0.0123\nfold:\n  value: 1\n")
    environment = os.environ | {
        "WANDB_MODE": "offline", "WANDB_SWEEP_ID": "sweep1", "WANDB_RUN_ID": "agentrun", "WANDB_DIR": str(place),
        "WANDB_SWEEP_PARAM_PATH": str(configuration),
    }  # fmt: skip
    words = [sys.executable, "-m", "joint_seg_cls", "train", *create_sweep_command_args(command)[form]]
    settings = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 280}
    done = subprocess.run(words, check=False, **settings)
    assert done.returncode == 0, done.stderr
    assert "the run continues without it" not in done.stderr
    (trained,) = (tmp_path / "runs").glob("*/*/fold-1_seed-0/DONE")
    assert not (trained.parent / "wandb").exists()
    (file,) = place.glob("wandb/offline-run-*-agentrun/run-agentrun.wandb")
    read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(read, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    (card,) = [record["run"] for record in records if record["type"] == "run"]
    assert (card["run_id"], card["sweep_id"]) == ("agentrun", "sweep1")
    assert any("val/score" in record["history"]["item"] for record in records if record["type"] == "history")
