"""The launcher for one machine: a new process per job, with its GPUs set before torch is imported."""

import json
import os
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import hydra
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import OmegaConf

from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs.plan import PLAN
from joint_seg_cls.sweep import sweeper
from joint_seg_cls.sweep.local import LocalLauncher

TASKS = """
import json, os, sys, time
from joint_seg_cls.errors import ConfigError
HAD_TORCH = "torch" in sys.modules

def task(config):
    began = time.monotonic()
    time.sleep(config.seconds[config.number])
    told = {"gpu": os.environ["CUDA_VISIBLE_DEVICES"], "pid": os.getpid(), "torch": HAD_TORCH}
    with open(f"{config.out}/{config.number}.json", "w") as file:
        json.dump({**told, "began": began, "ended": time.monotonic()}, file)
    print("job", config.number, "said this")
    if config.number == 2:
        raise ConfigError("key", expected="a number", found="a word", remedy="correct it")
    return float(config.number)
"""


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Return a function that sweeps a trivial task over ``number`` with our launcher, in other processes."""
    (tmp_path / "tasks_of_a_test.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.chdir(tmp_path)
    plugins = Plugins.instance()
    plugins.register(LocalLauncher)
    plugins.class_name_to_class["hydra_plugins.joint_seg_cls.LocalLauncher"] = LocalLauncher
    content = {
        "defaults": [{"override hydra/launcher": "local"}, {"override hydra/job_logging": "jsc"}, "_self_"],
        "number": 0,
        "seconds": [1.0, 0.0, 0.0, 0.2],
        "out": str(tmp_path),
        "hydra": {
            "sweep": {"dir": ".", "subdir": "."},
            "output_subdir": None,
            "searchpath": [f"file://{config_folder()}"],
            "launcher": {"gpus": ["7", "9"], "logs": str(tmp_path / "logs")},
        },
    }
    (tmp_path / "app.yaml").write_text(yaml.safe_dump(content))
    import tasks_of_a_test

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["app", "-m", *words])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        hydra.main(config_path=str(tmp_path), config_name="app", version_base="1.3")(tasks_of_a_test.task)()

    return run


def reported(folder):
    return {int(path.stem): json.loads(path.read_text()) for path in folder.glob("[0-9].json")}


def test_jobs_share_gpus_and_a_failed_one_does_not_stop_others(sweep, tmp_path):
    with pytest.raises(ConfigError, match="correct it"):
        sweep("number=0,1,2,3")
    jobs = reported(tmp_path)
    assert set(jobs) == {0, 1, 2, 3}
    assert {job["gpu"] for job in jobs.values()} == {"7", "9"}
    assert len({job["pid"] for job in jobs.values()} | {os.getpid()}) == 5
    assert not any(job["torch"] for job in jobs.values())
    for one in jobs.values():
        others = [job for job in jobs.values() if job is not one and job["gpu"] == one["gpu"]]
        assert all(job["ended"] <= one["began"] or one["ended"] <= job["began"] for job in others)
    logs = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert set(logs) == {f"tasks_of_a_test-{number}.txt" for number in range(4)}
    assert all(f"job {number} said this" in logs[f"tasks_of_a_test-{number}.txt"] for number in range(4))
    assert "error: key: expected a number, found a word; correct it." in logs["tasks_of_a_test-2.txt"]
    assert "Traceback" not in logs["tasks_of_a_test-2.txt"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_interrupted_runs_can_be_resumed(store, tmp_path):
    command = [
        sys.executable, "-m", "joint_seg_cls", "train", "-m", f"data.store={store}", f"runs={tmp_path / 'runs'}",
        "network.channels=4", "tracking=none", "data.workers=0", "data.folds.count=2", "trainer.accelerator=cpu",
        "trainer.max_epochs=100000", "fold=0,1", "study=stopped", "hydra.launcher.workers=2",
    ]  # fmt: skip
    sweeping = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    runs = [tmp_path / "runs" / "store" / folder for folder in _folders(tmp_path, sweeping)]
    while not all((run / "checkpoints" / "last.ckpt").is_file() for run in runs):
        assert sweeping.poll() is None
        time.sleep(0.2)
    sweeping.send_signal(signal.SIGINT)
    _, output = sweeping.communicate(timeout=300)
    assert sweeping.returncode == 130, output
    assert "repeat the command to continue" in output
    for run in runs:
        assert not {"DONE", "FAILED", "heartbeat"} & {path.name for path in run.iterdir()}
    requested = [sys.executable, "-m", "joint_seg_cls", "status", "study=stopped", f"runs={tmp_path / 'runs'}"]
    status = subprocess.run(requested, capture_output=True, text=True, check=True)
    assert "2 runs, 2 interrupted" in status.stdout


def test_a_planned_run_is_composed_once_and_as_other_launchers_compose_it(jsc, tiny, store, tmp_path, monkeypatch):
    loaded, started = [], []
    load = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", lambda *given: loaded.append(given) or load(*given))

    def launched(launcher, runs):
        assert len(loaded) == len(runs) == 2
        monkeypatch.setattr(LocalLauncher, "run", lambda _, configs: started.extend(configs) or [])
        began = launch(launcher, runs)
        assert len(loaded) == 2
        loader, master, _ = loaded[0]
        for run, config in zip(runs, started, strict=True):
            other = load(loader, master, run.as_overrides())
            assert config.hydra.job.env_set[PLAN] == run.plan.handed_over()
            assert (config.data.store, config.runs) == (str(store), str(tmp_path / "runs"))  # jobs start elsewhere
            del config.hydra.overrides, other.hydra.overrides  # the job's settings are among them
            other.hydra.job.override_dirname = config.hydra.job.override_dirname
            assert OmegaConf.to_container(config, resolve=True) == OmegaConf.to_container(other, resolve=True)
        return began

    launch = sweeper._launched
    monkeypatch.setattr(sweeper, "_launched", launched)
    monkeypatch.chdir(tmp_path)
    where = (f"data.store={os.path.relpath(store)}", "runs=runs")
    code, _, err = jsc("train", "-m", *where, *tiny, "optimizer.lr=1e-3,1e-4", "hydra/launcher=local")
    assert (code, len(started)) == (1, 2), err
    assert "2 of 2 runs are unfinished" in err


@pytest.mark.parametrize(("key", "value"), [("gpus", 0), ("gpus", "0,1"), ("workers", "abc"), ("slots_per_gpu", 1.5)])
def test_settings_of_the_wrong_type_are_refused_before_planning(key, value):
    launcher = LocalLauncher(None, 1, 1, 1, "logs")
    setattr(launcher, key, value)
    with pytest.raises(ConfigError, match=f"hydra.launcher.{key}: expected"):
        launcher.setup(hydra_context=Mock(spec=HydraContext), task_function=Mock(), config=OmegaConf.create())


def _folders(tmp_path, sweeping):
    study = tmp_path / "runs" / "store" / "studies" / "stopped.json"
    while not study.is_file():
        assert sweeping.poll() is None
        time.sleep(0.2)
    return [run["folder"] for run in json.loads(study.read_text())["runs"]]
