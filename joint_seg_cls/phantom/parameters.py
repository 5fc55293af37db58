"""Parameters of simulated patients: frequencies by disease, sizes, intensities and sites, as package data."""

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

#: Purpose of each independent random stream of a subject. New purposes get new numbers, so that
#: existing draws do not change.
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
    "head": 12,
    "head choice": 13,
    "placing": 14,
    "scene": 15,
    "appearance": 16,
}


@lru_cache(maxsize=1)
def parameters() -> dict[str, Any]:
    """Return the table of parameters.

    Frequencies: Matthews 2013 (Neurology 80:1330), BMC Neurol 2014 (doi 10.1186/s12883-014-0218-8), Cacciaguerra 2019
    (ana.25411), Clarke 2021 (fneur.2021.722237). MS counts, volumes and intensities: 30 masks and 5 scans of
    open_ms_data (doi 10.1007/s12021-017-9348-7) and MSLesSeg. Columns of ``features``: low, used, high by disease.
    """
    return json.loads(resources.files("joint_seg_cls.phantom").joinpath("parameters.json").read_text(encoding="utf-8"))


def stream(seed: int, subject: int, purpose: str, *further: int) -> np.random.Generator:
    """Return the random stream of one subject for one purpose (and one visit or rater)."""
    return np.random.default_rng(np.random.SeedSequence([seed, subject, STREAMS[purpose], *further]))
