"""Alignment of two variants on the scans and seeds of both."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd


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
