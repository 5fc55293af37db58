"""Claims that the joint model is better: paired tests, corrected within a table, and verdicts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from statsmodels.stats.multitest import multipletests

from joint_seg_cls.metrics import (
    Comparison,
    compare_accuracies,
    compare_aucs,
    compare_means,
    compare_multiclass_aucs,
)
from joint_seg_cls.report.pairs import Pair, pair
from joint_seg_cls.report.variants import Variant

#: Two-sided level of a table: the chance that any of its true null hypotheses is rejected (Holm).
ALPHA = 0.05
TESTED = ("DSC", "ACC", "AUC")
Verdict = Literal["holds", "does not hold", "not decided"]
_TESTS = {"DSC": "Wilcoxon signed-rank", "ACC": "McNemar, exact", "AUC": "DeLong"}


@final
@dataclass(frozen=True)
class Claim:
    """The claim that one variant is better than another in one metric.

    Args:
        better: the variant claimed to be better, the joint model in the paper's tables.
        worse: the other variant.
        metric: DSC, ACC or AUC.
        test: name of the test.
        found: difference, interval, p, and the smallest detectable difference.
        p_holm: p, corrected for all tests of the table.
        published: the paper's difference, as a fraction; None if there is none.
        by_seed: the difference for each seed, if there are several.
    """

    better: str
    worse: str
    metric: str
    test: str
    found: Comparison
    p_holm: float
    published: float | None = None
    by_seed: tuple[float, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict.

        ``holds``: the corrected p is below :data:`ALPHA` in the direction of the claim, and the difference is at least
        the smallest that is detectable with the requested power. ``does not hold``: the same in the opposite direction.
        Otherwise, and for tests with a caveat, ``not decided``.
        """
        difference = self.found.difference
        if self.found.caveat or not self.p_holm < ALPHA or abs(difference) < self.found.smallest:
            return "not decided"
        return "holds" if difference > 0 else "does not hold"

    @property
    def conclusion(self) -> str:
        """The verdict, and whether the published difference is ruled out."""
        if self.found.caveat:
            return f"{self.verdict}: {self.found.caveat}"
        varies = self.found.low < self.found.high
        if self.verdict == "not decided" and self.published is not None and varies and self.found.high < self.published:
            return "not decided; a difference as large as published is ruled out"
        return self.verdict


def claims_against(
    pairs: Sequence[tuple[Variant, Variant]],
    metrics: Sequence[str],
    published: Sequence[dict[str, float]],
    *,
    seed: int,
    resamples: int,
) -> list[Claim]:
    """Test all pairs in those of :data:`TESTED` that are among ``metrics``; correct p over all of them.

    The smallest detectable difference is for a test at the level divided by the number of tests, Holm's strictest step.

    Args:
        pairs: the variant claimed to be better, and the other.
        metrics: metrics of the table.
        published: the paper's difference for each pair and metric, in percentage points.
    """
    wanted = [(number, metric) for number in range(len(pairs)) for metric in TESTED if metric in metrics]
    paired = {key: found for key in wanted if (found := _pair(*pairs[key[0]], key[1])) is not None}
    alpha = ALPHA / max(1, len(paired))
    tested = {
        (number, metric): _compare(found, metric, pairs[number][0].classes, alpha, seed, resamples)
        for (number, metric), found in paired.items()
    }
    tested = {key: each for key, each in tested.items() if each.scans}
    corrected = holm([each.p for each in tested.values()])
    claims = []
    for ((number, metric), found), p_holm in zip(tested.items(), corrected, strict=True):
        first, second = pairs[number]
        percent = published[number].get(metric)
        test = _TESTS[metric] if metric != "AUC" or len(first.classes) == 2 else "paired bootstrap"
        by_seed = _by_seed(paired[number, metric], metric, first.classes)
        share = None if percent is None else percent / 100
        claims.append(Claim(first.label, second.label, metric, test, found, p_holm, share, by_seed))
    return claims


def holm(p: Sequence[float]) -> list[float]:
    """Return p corrected by Holm's method; undefined values stay undefined and do not count."""
    corrected = np.array(p, dtype=np.float64)
    defined = ~np.isnan(corrected)
    if defined.any():
        corrected[defined] = multipletests(corrected[defined], method="holm")[1]
    return corrected.tolist()


def _pair(first: Variant, second: Variant, metric: str) -> Pair | None:
    if metric == "DSC":
        return pair(first.rows, second.rows, ["dsc"])
    if first.classes != second.classes or len(first.classes) < 2:
        return None
    return pair(first.diagnosed(), second.diagnosed(), first.probability_columns())


def _compare(found: Pair, metric: str, classes: Sequence[str], alpha: float, seed: int, resamples: int) -> Comparison:
    subject, fold = (found.rows[name].to_numpy() for name in ("subject", "fold"))
    draws = {"fold": fold, "alpha": alpha, "seed": seed, "resamples": resamples}
    if metric == "DSC":
        return compare_means(found.first[0].mean(axis=1), found.second[0].mean(axis=1), subject, **draws)
    disease = found.rows["disease"].map({name: code for code, name in enumerate(classes)}).to_numpy(dtype=np.int64)
    first, second = (np.stack(each, axis=1) for each in (found.first, found.second))  # scans classes seeds
    if metric == "ACC":
        right = [each.argmax(axis=1) == disease[:, None] for each in (first, second)]
        return compare_accuracies(right[0], right[1], subject, **draws)
    if len(classes) == 2:
        return compare_aucs(first[:, 1], second[:, 1], disease == 1, subject, fold=fold, alpha=alpha)
    return compare_multiclass_aucs(first, second, disease, subject, **draws)


def _by_seed(found: Pair, metric: str, classes: Sequence[str]) -> tuple[float, ...]:
    """Return the difference for each seed; empty with one seed."""
    seeds = found.first[0].shape[1]
    if seeds < 2:
        return ()
    alone = [
        Pair([each[:, [one]] for each in found.first], [each[:, [one]] for each in found.second], found.rows)
        for one in range(seeds)
    ]
    return tuple(_compare(each, metric, classes, ALPHA, 0, 2).difference for each in alone)


def differences(better: dict[str, float], worse: dict[str, float]) -> dict[str, float]:
    """Return the published differences of two rows, in percentage points, for metrics of both."""
    return {name: better[name] - worse[name] for name in better if name in worse and not math.isnan(worse[name])}
