"""A metric of a cross-validation: mean over folds, standard deviations, and confidence interval."""

import math
from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Int, Num

from joint_seg_cls.metrics.bootstrap import RESAMPLES, Interval, bootstrap_interval, bootstrap_ratio

#: A metric of the rows with the given indices; NaN if undefined.
MetricOfRows = Callable[[Int[np.ndarray, " chosen"]], float]


@final
class Ratio(NamedTuple):
    """The metric sum(numerator) / sum(denominator) over rows; its bootstrap needs no call per resample.

    numerator: one value per row.
    denominator: one value per row; ones give the mean of ``numerator``.
    """

    numerator: Num[np.ndarray, " rows"]
    denominator: Num[np.ndarray, " rows"]

    def __call__(self, chosen: Int[np.ndarray, " chosen"]) -> float:
        """Return the metric of the rows with the given indices; NaN if the denominator is 0."""
        denominator = self.denominator[chosen].sum()
        return float(self.numerator[chosen].sum() / denominator) if denominator else math.nan


class AcrossFolds(NamedTuple):
    """A metric of a cross-validation, possibly repeated with several seeds.

    mean: over the folds of each seed, then over seeds.
    sd_folds: sample sd over folds, averaged over seeds; NaN with one fold.
    sd_seeds: sample sd over seeds of the mean over folds; NaN with one seed, or if the folds differ between seeds.
    interval: 95 % interval of ``mean``, bootstrapped over subjects.
    pooled: over all scans at once, averaged over seeds.
    folds: number of folds that define the metric, over all seeds.
    """

    mean: float
    sd_folds: float
    sd_seeds: float
    interval: Interval
    pooled: float
    folds: int


def across_folds(
    measure: MetricOfRows,
    fold: np.ndarray,
    seed: np.ndarray,
    subject: np.ndarray,
    *,
    draws_seed: int,
    resamples: int = RESAMPLES,
) -> AcrossFolds:
    """Return a metric over folds and seeds.

    A fold in which the metric is undefined (an AUC with one class) is excluded, also from ``folds``. The bootstrap
    resamples subjects with all their scans in all folds and seeds.

    Args:
        measure: the metric of the given rows; a :class:`Ratio` is faster.
        fold: fold of each row; a row is one scan in the test of one run.
    """
    rows = np.arange(len(fold))
    cells, cell = np.unique(
        np.array([f"{one}\n{other}" for one, other in zip(seed, fold, strict=True)]), return_inverse=True
    )
    seed_of_cell = np.array([name.partition("\n")[0] for name in cells])

    def by_cell(chosen: np.ndarray) -> np.ndarray:
        own = cell[chosen]
        return np.array([measure(part) if len(part := chosen[own == one]) else math.nan for one in range(len(cells))])

    def by_seed(values: np.ndarray) -> list[np.ndarray]:
        kept = [values[(seed_of_cell == one) & ~np.isnan(values)] for one in np.unique(seed_of_cell)]
        return [each for each in kept if len(each)]

    def mean(chosen: np.ndarray) -> float:
        return _mean([float(each.mean()) for each in by_seed(by_cell(chosen))])

    if not len(rows):
        return AcrossFolds(math.nan, math.nan, math.nan, Interval(math.nan, math.nan), math.nan, 0)
    groups = by_seed(by_cell(rows))
    means = [float(each.mean()) for each in groups]
    folds_of = {one: frozenset(name.partition("\n")[2] for name in cells[seed_of_cell == one]) for one in seed_of_cell}
    is_crossed = len(set(folds_of.values())) == 1
    draws = {"seed": draws_seed, "group": np.asarray(subject), "resamples": resamples}
    if isinstance(measure, Ratio):
        interval = bootstrap_ratio(*measure, fold=cell, repeat=seed_of_cell[cell], **draws)
    else:
        interval = bootstrap_interval(rows, mean, **draws)
    pooled = [measure(rows[np.asarray(seed).astype(str) == one]) for one in np.unique(seed_of_cell)]
    return AcrossFolds(
        mean=_mean(means),
        sd_folds=_mean([float(each.std(ddof=1)) for each in groups if len(each) > 1]),
        sd_seeds=float(np.std(means, ddof=1)) if len(means) > 1 and is_crossed else math.nan,
        interval=interval,
        pooled=_mean([value for value in pooled if not math.isnan(value)]),
        folds=sum(len(each) for each in groups),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
