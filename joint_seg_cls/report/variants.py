"""Variants of a study: their finished runs, and one tidy table of out-of-fold predictions over all seeds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from joint_seg_cls.report.convergence import has_converged
from joint_seg_cls.report.per_case import PROBABILITY, UNCALIBRATED
from joint_seg_cls.report.runs import ReportRun

JOINT = "joint"


@final
@dataclass(frozen=True, eq=False)
class Variant:
    """One variant of a study.

    Args:
        runs: all planned runs, finished or not.
        seed: the seed whose runs are used; None for all.
    """

    label: str
    base: str
    settings: tuple[str, ...]
    runs: tuple[ReportRun, ...]
    seed: int | None = None

    @cached_property
    def done(self) -> list[ReportRun]:
        """The finished runs that are used."""
        return [run for run in self.runs if run.is_done and self.seed in (None, run.seed)]

    @property
    def by_fold(self) -> dict[str, ReportRun]:
        """The finished runs of one seed by fold."""
        return {str(run.fold): run for run in self.done}

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per scan, fold and seed: the row of ``per_case.csv`` with ``fold`` and ``seed``.

        Empty before a run is finished. A repeated cross-validation tests a scan in several folds.
        """
        tables = [rows.assign(fold=str(run.fold), seed=run.seed) for run in self.done if (rows := run.rows) is not None]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the diseases in the order of their class codes."""
        return tuple(name.removeprefix(PROBABILITY) for name in self.rows if name.startswith(PROBABILITY))

    @property
    def cells(self) -> frozenset[tuple[str, int]]:
        """Finished folds and seeds."""
        return frozenset((str(run.fold), run.seed) for run in self.done)

    @property
    def is_repeated(self) -> bool:
        """Whether several folds test the same scan."""
        return bool(len(self.rows)) and bool(self.rows.duplicated(["seed", "case"]).any())

    @property
    def segments(self) -> bool:
        """Whether it segments lesions."""
        return "dsc" in self.rows and bool(self.rows["dsc"].notna().any())

    def diagnosed(self) -> pd.DataFrame:
        """Return the rows with a known disease and a probability."""
        if not self.classes:
            return self.rows.iloc[:0]
        known = self.rows["disease"].isin(self.classes) & self.rows[f"{PROBABILITY}{self.classes[0]}"].notna()
        return self.rows[known]

    def probability_columns(self, prefix: str = PROBABILITY) -> list[str]:
        """Return the columns of the class probabilities."""
        return [f"{prefix}{name}" for name in self.classes]

    def probability(self) -> Float[np.ndarray, "scans classes"]:
        """Return the class probabilities of the diagnosed rows."""
        return self.diagnosed()[self.probability_columns()].to_numpy(dtype=np.float64)

    def disease(self) -> Int[np.ndarray, " scans"]:
        """Return the codes of the true diseases of the diagnosed rows."""
        return self.diagnosed()["disease"].map(self.classes.index).to_numpy(dtype=np.int64)

    @property
    def is_calibrated(self) -> bool:
        """Whether its rows have probabilities without calibration, which differ."""
        names = self.probability_columns(UNCALIBRATED)
        if not names or any(name not in self.rows for name in names):
            return False
        before = self.diagnosed()[names].to_numpy(dtype=np.float64)
        return not np.allclose(before, self.probability(), atol=1e-5, equal_nan=True)

    def uncalibrated(self) -> Float[np.ndarray, "scans classes"]:
        """Return the class probabilities of the diagnosed rows without calibration; the others where not recorded."""
        if not self.is_calibrated:
            return self.probability()
        before = self.diagnosed()[self.probability_columns(UNCALIBRATED)].to_numpy(dtype=np.float64)
        return np.where(np.isnan(before), self.probability(), before)

    def converged(self) -> str:
        """Return whether its trainings converged: ``yes``, ``no``, ``2 of 3``, or ``unknown``."""
        found = [verdict for run in self.done if (verdict := has_converged(run.metrics)) is not None]
        if not found:
            return "unknown"
        return "yes" if all(found) else "no" if not any(found) else f"{sum(found)} of {len(found)}"

    def with_most_folds(self) -> "Variant":
        """Return the variant with the runs of the seed with the most finished folds, the lowest of equals."""
        folds = Counter(run.seed for run in self.done)
        several = len({run.seed for run in self.runs}) > 1
        return replace(self, seed=min(folds, key=lambda one: (-folds[one], one))) if several else self

    def label_with_progress(self) -> str:
        """Return the label, with the seed if it is one of several, and the number of folds if some are not finished."""
        done, planned = len(self.by_fold), len({str(run.fold) for run in self.runs})
        parts = [] if self.seed is None else [f"seed {self.seed}"]
        parts += [] if done == planned else [f"{done} of {planned} folds"]
        return f"{self.label} ({', '.join(parts)})" if parts else self.label


def gather(runs: Iterable[ReportRun]) -> list[Variant]:
    """Group the runs by label, in the order of first appearance."""
    by_label: dict[str, list[ReportRun]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    return [Variant(label, own[0].base, own[0].settings, tuple(own)) for label, own in by_label.items()]


def pool(runs: Iterable[ReportRun]) -> list[Variant]:
    """Return the variants with a finished run, each with one seed, so that folds can be pooled."""
    return [one.with_most_folds() for one in gather(runs) if one.done]


def classifying(pooled: Iterable[Variant]) -> list[Variant]:
    """Return the variants that classify and were tested on scans of every class."""
    return [one for one in pooled if len(np.unique(one.disease())) == len(one.classes) > 1]


def choose(pooled: Sequence[Variant], bases: Sequence[str]) -> list[Variant]:
    """Return the first variant of each available base, in the order of ``bases``."""
    return [found for base in bases if (found := next((one for one in pooled if one.base == base), None)) is not None]


def joint_or_first(pooled: Sequence[Variant]) -> Variant:
    """Return the joint model, or the first variant of a study without it."""
    return (choose(pooled, [JOINT]) or pooled)[0]


def seed_note(variants: Iterable[Variant]) -> str:
    """Return the sentence of a caption if there are several seeds."""
    several = any(one.seed is not None for one in variants)
    return " Of several seeds, that with the most finished folds is shown, given with the name." if several else ""


def pooled_table(variants: Sequence[Variant]) -> pd.DataFrame:
    """Return all out-of-fold rows of a study: ``variant``, ``base``, ``settings``, ``seed``, then a test's columns."""
    tables = []
    for one in variants:
        if len(one.rows):
            rows = one.rows.copy()
            for place, (name, value) in enumerate(
                (("variant", one.label), ("base", one.base), ("settings", " ".join(one.settings)))
            ):
                rows.insert(place, name, value)
            tables.append(rows)
    if not tables:
        return pd.DataFrame(columns=["variant", "base", "settings", "seed", "case", "subject", "fold", "disease"])
    return pd.concat(tables, ignore_index=True)
