"""Random states by seed, epoch and case, so that no draw depends on a worker or on an order."""

import hashlib

import numpy as np


def random_state(*place: int | float | str) -> np.random.RandomState:
    """Return the random state of a place in an experiment, such as (seed, epoch, case).

    The place is hashed with SHA-256, so the state is the same in every process, on every machine and Python. It is a
    ``RandomState`` because MONAI's random transforms take no other kind.
    """
    digest = hashlib.sha256("\0".join(map(str, place)).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))
