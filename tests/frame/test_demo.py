"""`make demo SIZE=toy`: all steps in about a minute."""

import runpy
import subprocess
import sys
from pathlib import Path

from joint_seg_cls.phantom.atlas import load_atlas

ROOT = Path(__file__).resolve().parents[2]


def test_the_toy_demo_runs_to_the_end(tmp_path, forks, monkeypatch, capfd):
    plain = subprocess.run

    def run(command, *words, **settings):
        if command[:3] != [sys.executable, "-m", "joint_seg_cls"]:
            return plain(command, *words, **settings)
        return subprocess.CompletedProcess(command, forks.run(tmp_path, *command[3:]))

    load_atlas(2)  # and the regions of the template, which the forks then share
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)  # a fork begins to work at once
    monkeypatch.setattr(sys, "argv", ["demo.py", "--size", "toy", "--out", str(tmp_path / "my demo")])
    try:
        runpy.run_path(str(ROOT / "experiments" / "demo.py"), run_name="__main__")
    except SystemExit:
        raise AssertionError((tmp_path / "said.txt").read_text()) from None
    said = capfd.readouterr().out
    out = tmp_path / "my demo" / "toy"
    assert len(list(out.glob("findings/*.png"))) == 1
    assert len(list(out.glob("pretrained/findings/*.png"))) == 1
    pages = [Path(line.split(maxsplit=1)[1]) for line in said.splitlines() if line.startswith("  page ")]
    assert [page.is_file() for page in pages] == [True, True]
    assert pages[0].parent == out / "pretrained" / "findings"
    assert said.index("the pretrained network") < said.index("$ jsc train")
    assert list(out.glob("runs/store/joint+experiment-toy/fold-0_seed-0/DONE"))
    for step in ("phantom", "prepare", "train", "predict"):
        assert f"$ jsc {step} " in said
    assert "held-out DSC" in said
    assert "held-out AUC" in said
