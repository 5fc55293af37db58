"""`null` as a path is refused before any work, or stands for the default; it never names a folder ``None``."""

import pytest

WORDS = {
    "check": ("cohort=c.tsv", "out=null"),
    "cohort": ("source=table", "path=c.tsv", "out=null"),
    "phantom": ("out=null",),
    "prepare": ("cohort=c.tsv", "store=null"),
    "train": ("data.store=null",),
    "predict": ("input=c.tsv", "checkpoint=w.ckpt", "out=null"),
    "compare": ("input=[a.nii,b.nii]", "findings=null"),
    "evaluate": ("run=null",),
    "export": ("checkpoint=w.ckpt", "out=null"),
    "report": ("study=null", "out=null"),
}


@pytest.mark.parametrize("command", WORDS)
def test_null_is_refused_and_makes_no_folder(jsc, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code, out, err = jsc(command, *WORDS[command])
    assert (code, out, err.count("error: ")) == (2, "", 1), err
    assert list(tmp_path.iterdir()) == []
