"""Code, packages and hardware of a run, for ``provenance.json``."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from joint_seg_cls import __version__

_PACKAGES = (
    "torch",
    "lightning",
    "monai",
    "hydra-core",
    "omegaconf",
    "numpy",
    "scipy",
    "nibabel",
    "torchmetrics",
    "wandb",
)
#: Value of ``accept`` that allows continuing a run with different code.
ACCEPT_CODE = "code"
#: The entry of an identity for ``joint_seg_cls.RESULTS_VERSION``.
RESULTS = "results_version"


def is_code(key: str) -> bool:
    """Return whether an entry of an identity describes code."""
    return key == RESULTS or key.startswith("code.")


def code_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of an identity that describe code."""
    return {key: value for key, value in identity.items() if is_code(key)}


def is_compatible(own: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Return whether a run is of this code; runs without a record of code count as version 1."""
    return RESULTS not in there and own.get(RESULTS) == 1


def provenance(identity: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a run that starts now."""
    import torch

    return {
        "time": now(),
        "joint_seg_cls": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "identity": identity,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def now() -> str:
    """Return the time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
