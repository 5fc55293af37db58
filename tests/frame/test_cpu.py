"""Idle cores are those that other programs do not use."""

import os

import pytest

from joint_seg_cls import cpu
from joint_seg_cls.cpu import CpuUse, available_cores


@pytest.mark.parametrize(("busy", "idle"), [(0.0, 8), (0.2, 8), (0.4, 7), (3.1, 5), (6.0, 2), (9.5, 1)])
def test_cores_used_by_others_are_not_idle(monkeypatch, busy, idle):
    monkeypatch.setattr(cpu, "available_cores", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    now = iter((10.0, 12.0, 12.0))
    monkeypatch.setattr(cpu.time, "monotonic", lambda: next(now))
    used = iter((100.0, 100.0 + 2 * busy))
    monkeypatch.setattr(cpu, "_others_s", lambda: next(used))
    assert CpuUse().idle_cores() == idle


def test_a_process_limited_to_some_cores_has_at_most_these(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(cpu, "_others_s", lambda: None)
    assert available_cores() == 2
    assert CpuUse().idle_cores() == 2


def test_the_time_of_this_process_and_idle_time_do_not_count(monkeypatch, tmp_path):
    counters = tmp_path / "stat"
    second = os.sysconf("SC_CLK_TCK")
    of_all = {"user": 500, "nice": 20, "system": 30, "idle": 900, "iowait": 70, "irq": 1, "softirq": 2, "steal": 3}
    guest = (40, 5)  # already parts of user and nice
    counters.write_text(f"cpu  {' '.join(str(each * second) for each in (*of_all.values(), *guest))}\ncpu0 1 2 3\n")
    monkeypatch.setattr(cpu, "_COUNTERS", counters)
    monkeypatch.setattr(os, "times", lambda: (50.0, 4.0, 3.0, 2.0, 1000.0))
    assert cpu._others_s() == pytest.approx(500 + 20 + 30 + 1 + 2 + 3 - 59)


def test_without_counters_all_cores_are_taken_to_be_idle(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "_COUNTERS", tmp_path / "missing")
    assert CpuUse().idle_cores() == available_cores()
