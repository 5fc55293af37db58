"""Plugins of other packages: an Optuna search with our launcher, and a sweep on Ray."""

import json
import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from joint_seg_cls.sweep.register import missing_extra


@pytest.fixture
def sweep(store, tiny, tmp_path):
    """Return a function that sweeps in a process of its own, which may reach itself over the network."""

    def run(*words):
        command = [
            sys.executable,
            "-m",
            "joint_seg_cls",
            "train",
            "-m",
            f"data.store={store}",
            f"runs={tmp_path / 'runs'}",
        ]
        environment = os.environ | {"PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [*command, *tiny, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        run.output = done.stdout + done.stderr
        return done.returncode

    return run


def done_runs(tmp_path):
    return sorted(path.parent for path in (tmp_path / "runs").rglob("DONE"))


@pytest.mark.slow
def test_optuna_searches_for_the_highest_score_on_the_validation_split(sweep, tmp_path):
    search = (
        "hydra/sweeper=optuna",
        "hydra/launcher=basic",
        "hydra.sweeper.n_trials=2",
        "data.validation_fraction=0.25",
    )
    space = "optimizer.lr=tag(log,interval(1e-4,1e-2))"
    assert sweep(*search, space) == 0, sweep.output
    runs = done_runs(tmp_path)
    assert len(runs) == 2
    (study,) = (tmp_path / "runs").glob("store/studies/search.json")
    assert len(json.loads(study.read_text())["runs"]) == 2
    scores = [max(float(row) for row in _column(run / "metrics.csv", "val/score")) for run in runs]
    assert f"Best value: {max(scores)}" in sweep.output
    best = OmegaConf.load(tmp_path / "runs" / "store" / "studies" / "optimization_results.yaml")
    assert best.best_value == max(scores)
    assert {path.name for path in tmp_path.iterdir()} == {"store", "runs"}  # no other output in the working folder
    assert sweep(*search, space) == 0  # the same draws: no run is repeated
    assert sweep.output.count("is done") == 2
    assert done_runs(tmp_path) == runs


def _column(table, name):
    header, *rows = [line.split(",") for line in table.read_text().splitlines()]
    return [row[header.index(name)] for row in rows]


def test_a_search_needs_a_validation_split(jsc, tiny, store, tmp_path):
    code, _, err = jsc(
        "train", "-m", f"data.store={store}", f"runs={tmp_path / 'runs'}", "hydra/sweeper=optuna", "protocol=paper",
        "optimizer.lr=interval(1e-4,1e-2)", *tiny,
    )  # fmt: skip
    assert code == 2, err
    assert "an inner validation split for the search's objective, val/score" in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_ray_runs_the_jobs_of_a_sweep(sweep, tmp_path):
    assert sweep("hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2", "ablation=joint,dot") == 0, sweep.output
    assert [run.parent.name.partition("+")[0] for run in done_runs(tmp_path)] == ["dot", "joint"]
    assert sweep("hydra/launcher=ray", "ablation=joint,dot") == 0
    assert "2 runs, 2 already done" in sweep.output


@pytest.mark.parametrize(
    ("output", "extra"),
    [
        ("Could not find 'hydra/sweeper/sampler/tpe'", "optuna"),
        ("Unknown plugin class : 'hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher'", "ray"),
        ("Could not find 'optimizer/tpe'", None),
    ],
)
def test_a_missing_plugin_is_reported_with_its_extra(output, extra):
    assert missing_extra(output) == extra
