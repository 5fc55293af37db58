"""The import-linter contracts detect violations."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path):
    """Return a copy of the package and its contracts."""
    shutil.copytree(ROOT / "joint_seg_cls", tmp_path / "joint_seg_cls", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder):
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def append(path, line):
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")


def test_the_package_satisfies_its_contracts(copy):
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("networks", "import joint_seg_cls.training", "Imports go one way"),
        ("phantom", "import joint_seg_cls.preprocess", "Imports go one way"),
        ("evaluation", "import hydra", "Only configurations, sweeps, commands"),
        ("runs", "import omegaconf", "Runs read configurations through"),
        ("commands/train.py", "from joint_seg_cls.commands import check", "Commands do not import each other"),
        ("config/kinds.py", "from joint_seg_cls.config import keys", "No cycle of files"),
        ("losses", "import lightning", "Networks and losses are plain torch"),
        ("scan", "import monai", "What reads, makes and prepares scans"),
    ],
    ids=[
        "upwards",
        "sideways",
        "hydra-outside-commands",
        "omegaconf-in-runs",
        "command-to-command",
        "cycle",
        "lightning-in-a-loss",
        "monai-in-scan",
    ],
)
def test_an_import_against_the_layers_is_refused(copy, module, line, contract):
    append(copy / "joint_seg_cls" / (module if module.endswith(".py") else f"{module}/__init__.py"), line)
    result = lint(copy)
    broken = [text for text in result.stdout.splitlines() if text.startswith(contract) and text.endswith("BROKEN")]
    assert result.returncode != 0, result.stdout
    assert broken, result.stdout


def test_a_package_outside_the_layers_is_refused(copy):
    (copy / "joint_seg_cls" / "utils").mkdir()
    (copy / "joint_seg_cls" / "utils" / "__init__.py").write_text('"""Odds and ends."""\n', encoding="utf-8")
    result = lint(copy)
    assert result.returncode != 0
    assert "utils" in result.stdout
