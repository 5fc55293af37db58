"""The built wheel: every command runs from any folder without a checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from joint_seg_cls.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / ".ci" / "requirements.txt"


@dataclass(frozen=True)
class Step:
    """One command as typed by a user; ``{run}`` and ``{runs}`` are outputs of earlier commands."""

    arguments: tuple[str, ...]
    writes: tuple[str, ...]


FLAIR = "c/sub-001/ses-01/sub-001_ses-01_flair.nii.gz"
OTHER = FLAIR.replace("sub-001", "sub-002")
#: All commands in the order of a study. Outputs are patterns relative to the working folder.
CHAIN = {
    "phantom": Step(
        ("out=c", "subjects=6", "spacing_mm=2", "phantom=clear", "seed=1"), ("c/cohort.tsv", "c/**/*.nii.gz")
    ),
    "cohort": Step(("source=table", "path=c/cohort.tsv", "out=t/cohort.tsv"), ("t/cohort.tsv",)),
    "check": Step(("cohort=t/cohort.tsv", "out=a", "workers=0"), ("a/audit.html", "a/audit.json")),
    "prepare": Step(
        ("cohort=t/cohort.tsv", "store=s", "image_size=32", "preprocess/bias_field=none"),
        ("s/store.json", "s/*/case.json", "s/*/image.npy"),
    ),
    "train": Step(
        ("data.store=s", "fold=0", "network.channels=4", "trainer.max_epochs=1", "data.folds.count=2", "tracking=none"),
        tuple(
            f"runs/*/*/fold-0_seed-*/{name}"
            for name in (
                "DONE",
                "config.yaml",
                "provenance.json",
                "metrics.csv",
                "per_case.csv",
                "checkpoints/last.ckpt",
            )
        ),
    ),
    "status": Step(("collection=s", "runs={runs}"), ("runs/s/*/fold-0_seed-*/DONE",)),
    "report": Step(
        ("collection=s", "resamples=50"), ("runs/s/studies/s/index.html", "runs/s/studies/s/tables/table-variants.tex")
    ),
    "evaluate": Step(("run={run}", "fold=1"), ("runs/*/*/fold-0_seed-*/evaluations/*/per_case.csv",)),
    "predict": Step(
        (f"input=[{FLAIR},{OTHER}]", "checkpoint={run}/checkpoints/best.ckpt", "out=p"),
        (
            "p/predictions.tsv",
            "p/*_lesions.nii.gz",
            "p/*_lesion-probability.nii.gz",
            "p/*.json",
            "p/*.pdf",
            "p/index.html",
        ),
    ),
    "compare": Step((f"input=[{FLAIR},{OTHER}]", "findings=p"), ("p/*_since_*.html", "p/*_since_*.tsv")),
    "export": Step(
        ("run={run}", "out=b"), ("b/configs/inference.json", "b/models/model.pt2", "b/docs/README.md", "b/LICENSE")
    ),
}
PLACEHOLDERS = {"runs": "runs", "run": "runs/*/*/fold-0_seed-*"}


@dataclass
class Installed:
    """A virtual environment with the wheel, and an empty folder."""

    python: Path
    folder: Path
    failures: dict[str, str] = field(default_factory=dict)

    def program(self, *arguments):
        """Run ``jsc`` as installed, without the checkout and this test's environment."""
        return self._started(self.python.with_name("jsc"), *arguments)

    def python_alone(self, *arguments):
        """Run Python in the environment."""
        return self._started(self.python, "-P", *arguments)

    def _started(self, *command):
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def run(self, command):
        """Run the chain up to ``command``, without commands that have been run, and stop at a failure."""
        for name in list(CHAIN)[: list(CHAIN).index(command) + 1]:
            if name not in self.failures:
                arguments = [argument.format(**self._found(argument)) for argument in CHAIN[name].arguments]
                result = self.program(name, *arguments)
                self.failures[name] = "" if result.returncode == 0 else f"{arguments}\n{result.stdout}\n{result.stderr}"
            assert not self.failures[name], f"jsc {name} failed: {self.failures[name]}"

    def _found(self, argument):
        requested = {name: pattern for name, pattern in PLACEHOLDERS.items() if f"{{{name}}}" in argument}
        return {name: min(self.folder.glob(pattern)) for name, pattern in requested.items()}


def call(*arguments):
    subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel with the installed tools, so without a download."""
    out = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel with access to the installed dependencies, but not to the checkout."""
    venv = tmp_path_factory.mktemp("venv")
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / "bin" / "python"
    call(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-compile",
        wheel,
    )
    (site_packages,) = venv.glob("lib/python*/site-packages")
    # A folder named in a .pth file is searched for modules; the .pth files in it (the editable checkout) are not read.
    dependencies = "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (site_packages / "dependencies.pth").write_text(dependencies, encoding="utf-8")
    return Installed(python, tmp_path_factory.mktemp("a folder with = and [brackets], elsewhere"))


@pytest.fixture(scope="module")
def installed_alone(wheel, tmp_path_factory):
    """Install the wheel as a user does: into an empty environment, with its dependencies from the package index."""
    venv = tmp_path_factory.mktemp("alone")
    call(sys.executable, "-m", "venv", venv)
    python = venv / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", "--constraint", LOCK, wheel)
    return Installed(python, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def installed_with_the_oldest(wheel, tmp_path_factory):
    """Install the wheel with the oldest packages that it supports.

    Of torch, the newest that is tested: no CPU build of an older one is to be had from the package index.
    """
    venv = tmp_path_factory.mktemp("oldest")
    call(sys.executable, "-m", "venv", venv)
    python = venv / "bin" / "python"
    torch = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
    call(python, "-m", "pip", "install", "--quiet", torch, *oldest_dependencies(), wheel)
    return Installed(python, tmp_path_factory.mktemp("with the oldest"))


def oldest_dependencies():
    """Return the lower bounds in pyproject.toml as exact versions, without pinned packages and torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(project["dependencies"]), flags=re.MULTILINE)
    return [f"{name}=={version}" for name, version in found if name != "torch"]


def test_the_chain_has_every_command():
    assert set(CHAIN) == set(COMMANDS)


def test_the_wheel_ships_the_configurations_and_tables_and_neither_tests_nor_experiments(wheel):
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name: archive.read(name) for name in archive.namelist()}
    conf = {f"joint_seg_cls/{path.relative_to(ROOT)}": path for path in (ROOT / "conf").rglob("*") if path.is_file()}
    assert conf
    assert {name: shipped[name] for name in shipped if name.startswith("joint_seg_cls/conf/")} == {
        name: path.read_bytes() for name, path in conf.items()
    }
    package = {path for path in (ROOT / "joint_seg_cls").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {str(path.relative_to(ROOT)) for path in package} <= set(shipped)
    top = {name.split("/")[0] for name in shipped}
    assert {name for name in top if not name.endswith(".dist-info")} == {"joint_seg_cls"}


def test_the_installed_program_is_not_the_checkout(installed):
    code = "import joint_seg_cls; print(joint_seg_cls.__file__)"
    found = installed.python_alone("-c", code)
    assert Path(found.stdout.strip()).is_relative_to(installed.python.parents[1])
    assert installed.program("--help").returncode == 0


#: Runs commands one after another in one process, which imports torch once: a chain takes a third of the time.
IN_ONE_PROCESS = """
import json, sys
from pathlib import Path
from joint_seg_cls.cli.main import main
for name, arguments, placeholders in json.loads(sys.argv[1]):
    found = {key: str(min(Path().glob(pattern))) for key, pattern in placeholders.items()}
    main([name, *(argument.format(**found) for argument in arguments)])
"""


@pytest.mark.timeout(600)
def test_every_command_of_the_wheel_runs_from_any_folder(installed):
    alone = {"phantom": ("workers=0",), "prepare": ("workers=0",)}  # worker processes would repeat all imports
    chain = [
        (
            name,
            (*step.arguments, *alone.get(name, ())),
            {key: PLACEHOLDERS[key] for key in PLACEHOLDERS if f"{{{key}}}" in str(step.arguments)},
        )
        for name, step in CHAIN.items()
    ]
    result = installed.python_alone("-c", IN_ONE_PROCESS, json.dumps(chain))
    assert result.returncode == 0, result.stdout + result.stderr
    for name, step in CHAIN.items():
        for pattern in step.writes:
            assert list(installed.folder.glob(pattern)), f"jsc {name} wrote no {pattern}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", CHAIN)
def test_a_command_of_the_wheel_runs_in_an_empty_environment(installed_alone, command):
    installed_alone.run(command)
    for pattern in CHAIN[command].writes:
        assert list(installed_alone.folder.glob(pattern)), f"jsc {command} wrote no {pattern}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", CHAIN)
def test_a_command_of_the_wheel_runs_with_the_oldest_packages(installed_with_the_oldest, command):
    assert len(oldest_dependencies()) > 15
    installed_with_the_oldest.run(command)
    for pattern in CHAIN[command].writes:
        assert list(installed_with_the_oldest.folder.glob(pattern)), f"jsc {command} wrote no {pattern}"
