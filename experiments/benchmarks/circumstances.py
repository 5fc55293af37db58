"""What a benchmark's numbers depend on: hardware, load, versions, commit, date. Run alone, it prints them."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def circumstances(*packages: str) -> dict[str, Any]:
    """Return the circumstances of a measurement that begins now, with the versions of further packages."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": done.stdout.strip() or None,
        "hardware": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": gpu,
            "load_average": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in ("torch", *packages)},
    }


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def write(name: str, began: dict[str, Any], result: dict[str, Any]) -> None:
    """Write ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(began | result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    print(json.dumps(circumstances(), indent=1))
