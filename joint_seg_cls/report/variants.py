"""The finished runs of each variant: one tidy table of out-of-fold predictions over all seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import pandas as pd

from joint_seg_cls.report.convergence import has_converged
from joint_seg_cls.report.runs import PROBABILITY, ReportRun

JOINT = "joint"


@final
@dataclass(frozen=True, eq=False)
class Variant:
    """One variant of a study.

    Args:
        runs: all planned runs, finished or not.
        rows: one row per scan, fold and seed: the row of ``per_case.csv`` with ``fold`` and ``seed``; empty before a
            run is finished. A repeated cross-validation tests a scan in several folds.
    """

    label: str
    base: str
    settings: tuple[str, ...]
    runs: tuple[ReportRun, ...]
    rows: pd.DataFrame

    @property
    def done(self) -> list[ReportRun]:
        """The finished runs."""
        return [run for run in self.runs if run.is_done]

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

    def diagnosed(self) -> pd.DataFrame:
        """Return the rows with a known disease and a probability."""
        if not self.classes:
            return self.rows.iloc[:0]
        known = self.rows["disease"].isin(self.classes) & self.rows[f"{PROBABILITY}{self.classes[0]}"].notna()
        return self.rows[known]

    def converged(self) -> str:
        """Return whether its trainings converged: ``yes``, ``no``, ``2 of 3``, or ``unknown``."""
        found = [verdict for run in self.done if (verdict := has_converged(run.metrics)) is not None]
        if not found:
            return "unknown"
        return "yes" if all(found) else "no" if not any(found) else f"{sum(found)} of {len(found)}"


def gather(runs: Iterable[ReportRun]) -> list[Variant]:
    """Group the runs by label, in the order of first appearance."""
    by_label: dict[str, list[ReportRun]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    return [_one(own) for own in by_label.values()]


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


class Pair(NamedTuple):
    """Values of two variants for the same scans, one column per seed, and labels of each scan."""

    first: list[np.ndarray]
    second: list[np.ndarray]
    rows: pd.DataFrame


def pair(first: pd.DataFrame, second: pd.DataFrame, columns: Sequence[str]) -> Pair | None:
    """Align two variants on the scans that both tested, with the seeds that both have.

    With several seeds, only the seeds with the most common scans are used, and only scans tested with all of
    these seeds. Without a common seed, the lowest of each is used. A scan tested in several folds counts
    once, with its result in the first.

    Returns:
        for each of ``columns``, an array (scans, seeds) for each variant; None without a common scan.
    """
    sides = [_by_seed(table, columns) for table in (first, second)]
    common = sorted(sides[0].keys() & sides[1].keys())
    if not all(sides):
        return None
    matches = [(seed, seed) for seed in common] or [(min(sides[0]), min(sides[1]))]
    shared = {match: sides[0][match[0]].index.intersection(sides[1][match[1]].index) for match in matches}
    most = max(map(len, shared.values()), default=0)
    if most == 0:
        return None
    kept = [match for match in matches if len(shared[match]) == most]
    cases = sorted(set.intersection(*(set(shared[match]) for match in kept)))
    if not cases:
        kept, cases = kept[:1], sorted(shared[kept[0]])
    tables = [[side[match[number]].loc[cases] for match in kept] for number, side in enumerate(sides)]
    values = [[np.stack([table[name] for table in own], axis=1) for name in columns] for own in tables]
    return Pair(values[0], values[1], tables[0][0])


def _by_seed(table: pd.DataFrame, columns: Sequence[str]) -> dict[int, pd.DataFrame]:
    if not set(columns) <= set(table.columns):
        return {}
    kept = table[table[list(columns)].notna().all(axis=1)]
    return {seed: own.drop_duplicates("case").set_index("case") for seed, own in kept.groupby("seed")}


def _one(runs: list[ReportRun]) -> Variant:
    tables = [
        rows.assign(fold=str(run.fold), seed=run.seed) for run in runs if run.is_done and (rows := run.rows) is not None
    ]
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return Variant(runs[0].label, runs[0].base, runs[0].settings, tuple(runs), rows)
