"""`make demo SIZE=toy`: all steps in about a minute."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_toy_demo_runs_to_the_end(tmp_path):
    command = [sys.executable, ROOT / "experiments" / "demo.py", "--size", "toy", "--out", tmp_path / "my demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "my demo" / "toy"
    assert len(list(out.glob("findings/*.png"))) == 1
    assert len(list(out.glob("pretrained/findings/*.png"))) == 1
    pages = [Path(line.split(maxsplit=1)[1]) for line in done.stdout.splitlines() if line.startswith("  page ")]
    assert [page.is_file() for page in pages] == [True, True]
    assert pages[0].parent == out / "pretrained" / "findings"
    assert done.stdout.index("the pretrained network") < done.stdout.index("$ jsc train")
    assert list(out.glob("runs/store/joint+experiment-toy/fold-0_seed-0/DONE"))
    for step in ("phantom", "prepare", "train", "predict"):
        assert f"$ jsc {step} " in done.stdout
    assert "held-out DSC" in done.stdout
    assert "held-out AUC" in done.stdout
