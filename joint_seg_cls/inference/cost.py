"""Time and memory of the prediction of a scan."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any, final

import torch


@final
@dataclass(frozen=True)
class Stopwatch:
    """Measures from its creation on."""

    _start_s: float = field(default_factory=time.perf_counter)

    def read(self) -> dict[str, Any]:
        """Return ``seconds``; ``peak_memory_mb``, the highest resident memory of this process so far (null on Windows).

        On a GPU also ``peak_gpu_memory_mb``, the most that torch has allocated so far.
        """
        cost: dict[str, Any] = {"seconds": time.perf_counter() - self._start_s, "peak_memory_mb": _peak_memory_mb()}
        if torch.cuda.is_initialized():
            cost["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 1e6
        return cost


def _peak_memory_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
