"""Fast start: no heavy import before a command runs."""

import subprocess
import sys

import pytest

import joint_seg_cls
from joint_seg_cls.cli.main import COMMANDS

HEAVY = ("torch", "lightning", "monai", "nilearn", "pandas", "scipy", "matplotlib", "wandb", "hydra")


def answer(*arguments, exit_code=0):
    """Run the program in a fresh interpreter; return its standard output and the heavy packages that it imported."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['jsc', *{list(arguments)!r}]\n"
        "try:\n"
        "    runpy.run_module('joint_seg_cls', run_name='__main__')\n"
        "finally:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == exit_code, done.stderr
    return done.stdout, next(line for line in reversed(done.stderr.splitlines()) if line.startswith("["))


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)], ids=["nothing", "--help", "-h"])
def test_help_names_every_command_and_imports_nothing_heavy(arguments):
    text, heavy = answer(*arguments)
    assert heavy == "[]"
    for command in COMMANDS:
        assert f"\n  {command} " in text


def test_the_version_is_printed_quickly():
    text, heavy = answer("--version")
    assert heavy == "[]"
    assert text.split() == ["jsc", joint_seg_cls.__version__]


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("train", "--help"), 0),
        (("train", "--cfg", "job", "data.store=store"), 0),
        (("train", "data.stroe=store"), 2),
        (("train", "--shell-completion", "install=bash"), 0),
        (("status", "study=missing"), 2),
    ],
    ids=["help", "--cfg", "unknown key", "completion", "unknown study"],
)
def test_what_needs_only_the_configuration_imports_no_numerical_library(arguments, exit_code):
    _, heavy = answer(*arguments, exit_code=exit_code)
    assert heavy == "['hydra']"


def test_importing_the_package_imports_nothing_heavy():
    code = f"import joint_seg_cls, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_closed_pipe_ends_the_program_without_a_traceback():
    process = subprocess.Popen(
        [sys.executable, "-m", "joint_seg_cls", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 141  # 128 + SIGPIPE, as a shell reports it
