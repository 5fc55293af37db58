"""Random states by seed, epoch and case, independent of workers and order."""

import hashlib

import numpy as np


def random_state(*place: int | float | str) -> np.random.RandomState:
    """Return a random state for a key such as (seed, epoch, case).

    The key is hashed with SHA-256, so that the state is the same in all processes, on all machines and Python versions.
    MONAI's random transforms require a ``RandomState``.
    """
    digest = hashlib.sha256("\0".join(map(str, place)).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))
