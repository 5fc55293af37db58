"""Running out of memory is an error of one scan; the others are still processed."""

import json

import pandas as pd
import pytest
import torch

from joint_seg_cls.errors import ScanError, enough_memory
from joint_seg_cls.inference import Predictor

ENDS = {
    "numpy": MemoryError("Unable to allocate 9.31 GiB for an array"),
    "torch": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried"
    ),
    "torch on Windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9999 bytes."),
    "CUDA": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ..."),
    "SimpleITK": RuntimeError("Exception thrown in SimpleITK: std::bad_alloc"),
}


@pytest.fixture
def ends(monkeypatch):
    """Return a function that lets memory end within the second scan that a network sees."""

    def at_second(error):
        seen, call = [], Predictor.__call__

        def second(self, image, scan="image"):
            seen.append(None)
            if len(seen) == 2:
                raise error
            return call(self, image, scan)

        monkeypatch.setattr(Predictor, "__call__", second)

    return at_second


def run_of(world):
    return next(world.glob("runs/store/*/fold-0_seed-0"))


@pytest.mark.parametrize("kind", ENDS)
def test_every_out_of_memory_error_is_an_error_of_the_scan(kind):
    with pytest.raises(ScanError) as met, enough_memory("s1.nii.gz", remedy="close other programs"):
        raise ENDS[kind]
    expected = "enough GPU memory for this scan" if kind == "CUDA" else "enough memory for this scan"
    remedy = "add device=cpu" if kind == "CUDA" else "close other programs"
    assert str(met.value) == f"s1.nii.gz: expected {expected}, found too little memory; {remedy}."


def test_other_errors_are_not_reported_as_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("s1", remedy=""):
        raise RuntimeError("shapes cannot be multiplied")


@pytest.mark.parametrize("kind", ["numpy", pytest.param("CUDA", marks=pytest.mark.slow)])
def test_the_next_scan_is_predicted(world, jsc, ends, monkeypatch, tmp_path, kind):
    monkeypatch.chdir(world)
    words = ["predict", f"input={world / 'cohort.tsv'}", f"checkpoint={run_of(world)}", f"out={tmp_path}", "device=cpu"]
    ends(ENDS[kind])
    code, _, err = jsc(*words)
    assert (code, "Traceback" in err) == (2, False), err
    assert "s1_flair.nii.gz: expected" in err.strip().splitlines()[-1]
    assert list(pd.read_csv(tmp_path / "predictions.tsv", sep="\t")["id"]) == ["s0", "s2", "s3"]
    monkeypatch.undo()
    code, _, err = jsc(*words)
    assert code == 0, err
    assert list(pd.read_csv(tmp_path / "predictions.tsv", sep="\t")["id"]) == ["s0", "s1", "s2", "s3"]


@pytest.mark.parametrize("on", ["fold=1", "cohort"])
def test_the_next_scan_is_tested(world, jsc, ends, monkeypatch, on):
    monkeypatch.chdir(world)
    of = f"cohort={world / 'cohort.tsv'}" if on == "cohort" else on
    words = ["evaluate", f"run={run_of(world)}", of, f"name=memory-{on[:4]}", "device=cpu"]
    ends(ENDS["torch"])
    code, _, err = jsc(*words)
    folder = run_of(world) / "evaluations" / f"memory-{on[:4]}"
    total = 4 if on == "cohort" else 2
    assert (code, "Traceback" in err) == (2, False), err
    assert f"1 of {total} scans could not be tested and are not in these tables" in err
    assert len(pd.read_csv(folder / "per_case.csv")) == total - 1
    assert len(json.loads((folder / "tested.json").read_text())["left_out"]) == 1
    monkeypatch.undo()
    monkeypatch.chdir(world)
    code, _, err = jsc(*words)
    assert code == 0, err
    assert len(pd.read_csv(folder / "per_case.csv")) == total
    assert "left_out" not in json.loads((folder / "tested.json").read_text())
