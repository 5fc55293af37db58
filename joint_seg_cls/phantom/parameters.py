"""The numbers behind a simulated patient: class-conditional frequencies, sizes, intensities and sites, as package data."""

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

#: What each independent stream of random numbers of a subject is for. A purpose added later takes a new number, so that
#: nothing drawn before it changes.
STREAMS = {
    "enrolment": 0,
    "person": 1,
    "patient": 2,
    "lesions": 3,
    "brightness": 4,
    "anatomy": 5,
    "contrast": 6,
    "progression": 7,
    "acquisition": 8,
    "field": 9,
    "noise": 10,
    "rater": 11,
}


@lru_cache(maxsize=1)
def parameters() -> dict[str, Any]:
    """Return the table of numbers; sources: A-K of Matthews 2013, Clarke 2021, Cacciaguerra 2019 and others, and open_ms masks."""
    return json.loads(resources.files("joint_seg_cls.phantom").joinpath("parameters.json").read_text(encoding="utf-8"))


def stream(seed: int, subject: int, purpose: str, *further: int) -> np.random.Generator:
    """Return the random numbers of one subject for one purpose (and one visit or rater): they depend on nothing else."""
    return np.random.default_rng(np.random.SeedSequence([seed, subject, STREAMS[purpose], *further]))
