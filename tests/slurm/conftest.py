"""A Slurm that runs its jobs on this machine."""

import os
import shutil
import subprocess
import sys

import pytest


def _said(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.split() if done.returncode == 0 else []


@pytest.fixture(scope="session")
def slurm():
    """Return how to call Slurm; skip without Slurm, or if its jobs cannot access our folders."""
    nodes = _said("sinfo", "--noheader", "--Node", "--Format=NodeAddr") if shutil.which("sinfo") else []
    if not nodes:
        pytest.skip("sinfo does not answer; to start a Slurm: tests/slurm/local_slurm")
    if set(nodes) != {"127.0.0.1"}:
        pytest.skip(f"Slurm's jobs run on {nodes[0]}, which sees no temporary folder of this machine")
    return _said


@pytest.fixture
def sweep(slurm, tmp_path):
    """Return a function that starts ``jsc train -m`` on Slurm, in another process."""
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1"}  # node names are known only to Slurm
    started = []

    def start(*words):
        command = [sys.executable, "-m", "joint_seg_cls", "train", "-m", "hydra/launcher=slurm", *words]
        with (tmp_path / f"sweep-{len(started)}.txt").open("w") as log:
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    _said("scancel", "--name=jsc", "--quiet")
