"""The comparison of `make bench-check`."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.fixture
def counts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = __import__("counts")
    yield module
    del sys.modules["counts"]


def test_a_risen_count_is_reported_and_a_lower_one_is_not(counts):
    before = {"torch": "2.13.0", "operations": {"copies": 5, "breaks": 0}, "program": {"modules": 100}}
    after = {"torch": "2.13.0", "operations": {"copies": 4, "breaks": 1}, "program": {"modules": 101}}
    assert counts.risen_since(before, before) == []
    assert counts.risen_since(before, after) == [
        "program: modules: 101, 100 in the record",
        "operations: breaks: 1, 0 in the record",
    ]
    assert counts.risen_since(before, after | {"torch": "2.14.0"}) == ["program: modules: 101, 100 in the record"]


def test_the_record_counts_no_slow_convolution(counts):
    record = json.loads(counts.RECORD.read_text())
    slow = {name: count for name, count in record["operations"].items() if name.startswith("slow convolutions")}
    assert len(slow) == 4
    assert set(slow.values()) == {0}
