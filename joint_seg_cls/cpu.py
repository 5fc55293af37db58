"""Threads of torch and loader processes beside other programs on the same cores.

The threads of torch wait for each other after each operation, so one that shares its core with another program slows
down all of them: two threads on two cores, one of them busy, take up to ten times as long as one thread. A training
therefore uses the cores that are idle when it starts.
"""

import os
import time
from pathlib import Path
from typing import final

#: Shortest time over which the use of the processor is measured.
_LEAST_S = 0.2
#: Share of a core that other programs may use while it counts as idle.
_TOLERANCE = 0.3
_COUNTERS = Path("/proc/stat")


@final
class CpuUse:
    """The use of the processor by other programs since the object was created; known on Linux only."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._others_s = _others_s()

    def idle_cores(self) -> int:
        """Return the number of cores of this process that other programs do not use, at least one."""
        cores = available_cores()
        if self._others_s is None:
            return cores
        time.sleep(max(0.0, self._began + _LEAST_S - time.monotonic()))
        others_s = _others_s()
        assert others_s is not None
        busy = (others_s - self._others_s) / (time.monotonic() - self._began)
        return min(cores, max(1, int((os.cpu_count() or cores) - busy + _TOLERANCE)))


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _others_s() -> float | None:
    """Return the seconds that all cores have worked for other processes; None if not known."""
    if not _COUNTERS.is_file():
        return None
    user, nice, system, _idle, _wait, *interrupts = map(int, _COUNTERS.read_text().split("\n", 1)[0].split()[1:])
    busy = user + nice + system + sum(interrupts[:3])  # the last two are parts of user and nice
    return busy / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])
