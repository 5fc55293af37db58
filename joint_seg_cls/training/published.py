"""Tests and weights for a tracking service."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from joint_seg_cls.run_state import PER_CASE
from joint_seg_cls.scan.cells import read_written
from joint_seg_cls.training.archive import read_archive
from joint_seg_cls.training.pseudonyms import Pseudonyms
from joint_seg_cls.training.recipe import RECIPE
from joint_seg_cls.training.tracking import Guard, Tracker

#: Columns of a test's table that are shown besides its numbers.
_SHOWN = ("case", "fold", "disease", "regions_withheld")


def publish_test(tracker: Tracker, folder: Path, pseudonyms: Pseudonyms) -> None:
    """Log the results of a test and its table of scans, with pseudonyms for the cases.

    Args:
        folder: contains ``summary.csv`` and ``per_case.csv``.
    """
    guard = Guard("reading the test's tables for the tracking service")
    guard.call(lambda: _log_test(tracker, folder, pseudonyms))


def publish_weights(tracker: Tracker, checkpoint: Path, name: str, pseudonyms: Pseudonyms) -> None:
    """Log weights and recipe, without paths, optimiser state or Lightning's record of the machine."""

    def log() -> None:
        content = read_archive(checkpoint)
        shown = {"state_dict": content["state_dict"], "epoch": content["epoch"]}
        shown[RECIPE] = pseudonyms.publishable(content[RECIPE])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.ckpt"
            torch.save(shown, path)
            tracker.log_model(path, name)

    Guard("reading the weights for the tracking service").call(log)


def _log_test(tracker: Tracker, folder: Path, pseudonyms: Pseudonyms) -> None:
    summary = pd.read_csv(folder / "summary.csv").dropna(subset=["value"])
    suffix = summary["space"].map(lambda space: "_model" if space == "model" else "")
    names = "test/" + summary["metric"].str.lower().str.replace(" ", "_") + suffix
    tracker.log_metrics(dict(zip(names, summary["value"].astype(float), strict=True)))
    rows = read_written(folder / PER_CASE)
    others = rows.columns.difference([*_SHOWN, "subject", "session"], sort=False)
    numbers = rows[others].replace("", np.nan).astype(np.float64)
    shown = rows[[name for name in _SHOWN if name in rows]].copy()
    shown["case"] = [pseudonyms[case] for case in shown["case"]]
    shown["fold"] = [fold if fold.isdigit() else pseudonyms.publishable(fold) for fold in shown["fold"]]
    tracker.log_table("test/cases", pd.concat([shown, numbers], axis=1))
