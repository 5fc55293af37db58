"""Run `jsc` inside the test's process and see what a person would see."""

import sys

import pytest

from joint_seg_cls.commands.main import main


@pytest.fixture
def jsc(capfd, monkeypatch):
    """Return a function that runs a command and gives (exit code, standard output, standard error)."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["jsc", *words])
        capfd.readouterr()
        try:
            main(list(words))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run
