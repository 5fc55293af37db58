"""The benchmarks run at a small size, and what they compute from their measurements is right."""

import importlib
import json
import math
import runpy
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Return a function that imports a benchmark by name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]


#: Benchmarks with words that their output contains; the slow ones start the program several times.
FAST = {"ceiling": "of the ceiling", "gpu": "'best': {"}
SLOW = {
    "growth": "step by voxels",
    "memory": "KB a case",
    "startup": "job after the first",
    "study_report": "report of 4 runs",
}


@pytest.mark.parametrize(
    ("name", "words"), [*FAST.items(), *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW.items())]
)
@pytest.mark.timeout(900)
def test_a_benchmark_runs_at_a_small_size_and_writes_nothing(name, words, monkeypatch, capsys):
    results = {path: path.stat().st_mtime_ns for path in (BENCHMARKS / "results").iterdir()}
    monkeypatch.setattr(sys, "argv", [name, "--quick"])
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    assert {path: path.stat().st_mtime_ns for path in (BENCHMARKS / "results").iterdir()} == results
    assert words in capsys.readouterr().out


def test_the_convolutions_of_a_network_are_found_with_their_operations(benchmark):
    ceiling = benchmark("ceiling")
    convolution = torch.nn.Conv3d(2, 4, kernel_size=3, padding=1, stride=2)
    upsampling = torch.nn.ConvTranspose3d(4, 3, kernel_size=2, stride=2)
    network = torch.nn.Sequential(convolution, upsampling)
    found = ceiling.convolutions(network, lambda: network(torch.zeros(5, 2, 8, 8, 8)))
    assert found.total() == 2
    one, other = found
    assert one[:4] == (False, False, (5, 2, 8, 8, 8), (4, 2, 3, 3, 3))
    assert other[:4] == (True, True, (5, 4, 4, 4, 4), (4, 3, 2, 2, 2))
    assert ceiling.bare(one, 1)[1] == 2 * 2 * 5 * 4**3 * 4 * 2 * 27  # no gradient of the image
    assert ceiling.bare(other, 1)[1] == 3 * 2 * 5 * 4**3 * 4 * 3 * 8


def test_the_exponent_of_a_power_law_is_fitted(benchmark):
    growth = benchmark("growth")
    assert growth.exponent([1, 2, 4, 8], [3 * n**1.5 for n in (1, 2, 4, 8)]) == pytest.approx(1.5)


def test_costs_of_loading_are_measured_for_each_cohort(benchmark, tmp_path):
    growth = benchmark("growth")
    costs = growth.of_loading(growth.QUICK)
    assert all(list(of) == [6, 12] and all(value > 0 for value in of.values()) for of in costs.values())
    growth.draw(costs, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_a_gpu_setting_is_compared_with_float64(benchmark):
    gpu = benchmark("gpu")
    eager = gpu.Setting("float32", "contiguous", "eager")
    assert gpu.error(eager, "cpu", 4) < gpu.TOLERANCE["float32"]
    assert gpu.error(gpu.Setting("bfloat16", "contiguous", "eager"), "cpu", 4) > gpu.TOLERANCE["float32"]
    assert len(gpu.settings("cuda")) == 18
    assert len(gpu.settings("cpu")) == 8
    assert all(setting.mode == "eager" for setting in gpu.settings("cuda")[:6])


def test_a_record_states_hardware_commit_and_date(benchmark, tmp_path, monkeypatch):
    circumstances = benchmark("circumstances")
    monkeypatch.setattr(circumstances, "RESULTS", tmp_path)
    circumstances.write("found", circumstances.circumstances("monai"), {"ratio": math.pi})
    record = json.loads((tmp_path / "found.json").read_text())
    assert {"date", "commit", "hardware", "versions", "ratio"} == set(record)
    assert record["hardware"]["processor"]
    assert set(record["versions"]) == {"python", "torch", "monai"}
