"""Segment demyelinating lesions on brain FLAIR and distinguish MS from NMOSD with one network (Huang et al. 2024)."""

import importlib

__version__ = "0.1.0"

#: Part of every run's identity. Increase it with any change after which the same configuration, data and seed give
#: other results: in the order or augmentation of the data, the network, a loss, the optimiser, a metric or the test.
#: Runs of another version are refused until the user accepts them. A change in preprocessing increases ``scan.FORMAT``.
RESULTS_VERSION = 4


def __getattr__(name: str) -> object:
    """Import ``predict`` (:func:`joint_seg_cls.runs.api.predict`) when it is first used."""
    if name == "predict":
        return importlib.import_module("joint_seg_cls.runs.api").predict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
