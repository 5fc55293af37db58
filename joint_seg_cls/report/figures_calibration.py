"""Calibration of class probabilities: reliability diagrams, Brier score and calibration error."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from sklearn.metrics import brier_score_loss

from joint_seg_cls.report.figure import COLOURS, Figure, canvas, save
from joint_seg_cls.report.figures_roc import scores
from joint_seg_cls.report.runs import Pooled, seed_note

#: Bins of equal width over [0, 1].
BINS = 10
_COLUMNS = 4


def draw_calibration(variants: Sequence[Pooled], out: Path, name: str, title: str) -> Figure:
    """Draw one reliability diagram per variant, with the number of scans in each bin below."""
    rows = math.ceil(len(variants) / _COLUMNS)
    columns = min(len(variants), _COLUMNS)
    drawn = canvas(3.0 * columns, 3.6 * rows)
    heights = [3, 1] * rows
    grid = drawn.subplots(2 * rows, columns, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})
    for number in range(rows * columns):
        above, below = (grid[2 * (number // columns) + part, number % columns] for part in (0, 1))
        if number < len(variants):
            _draw_one(above, below, variants[number])
        else:
            above.axis("off")
            below.axis("off")
    return Figure(name, title, _caption(variants), save(drawn, out, name))


def reliability(
    probability: Float[np.ndarray, " scans"], positive: Bool[np.ndarray, " scans"]
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"], Int[np.ndarray, " bins"]]:
    """Return for each of :data:`BINS` bins the mean probability, the fraction of positives (NaN if empty), the count.

    A probability on the edge of two bins counts in the upper one; 1 counts in the last.
    """
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    filled = np.where(count == 0, np.nan, count)
    mean = np.bincount(bins, weights=probability, minlength=BINS) / filled
    share = np.bincount(bins, weights=positive.astype(float), minlength=BINS) / filled
    return mean, share, count


def expected_calibration_error(probability: Float[np.ndarray, " scans"], positive: Bool[np.ndarray, " scans"]) -> float:
    r"""Return :math:`\sum_b \frac{n_b}{n} |\bar p_b - \bar y_b|` over :data:`BINS` bins of the positive class."""
    mean, share, count = reliability(probability, positive)
    return float(np.nansum(count * np.abs(mean - share)) / count.sum())


def _draw_one(above: Axes, below: Axes, one: Pooled) -> None:
    probability, positive = scores(one)
    mean, share, count = reliability(probability, positive)
    above.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    above.plot(mean[count > 0], share[count > 0], marker="o", markersize=4, color=COLOURS[1], linewidth=1.4)
    brier = brier_score_loss(positive, probability)
    error = expected_calibration_error(probability, positive)
    above.set_title(f"{one.label_with_progress()}\nBrier {brier:.3f}, ECE {error:.3f}", fontsize=8)
    above.set_ylim(-0.02, 1.02)
    above.set_ylabel(f"share of {one.classes[-1]}", fontsize=8)
    below.bar(np.arange(BINS) / BINS + 0.5 / BINS, count, width=0.9 / BINS, color="0.6")
    below.set_xlim(0, 1)
    below.set_xlabel(f"probability of {one.classes[-1]}", fontsize=8)
    below.set_ylabel("scans", fontsize=8)
    for axes in (above, below):
        axes.tick_params(labelsize=7)


def _caption(variants: Sequence[Pooled]) -> str:
    base, positive = float(scores(variants[0])[1].mean()), variants[0].classes[-1]
    return (
        f"Out-of-fold probabilities of {positive} in {BINS} bins of equal width, without recalibration. Brier: mean "
        f"squared error of the probability; always predicting the prevalence of {positive} "
        f"({base:.2f}) gives {base * (1 - base):.3f}. ECE: mean distance from the diagonal, bins weighted by scans."
        f"{seed_note(variants)}"
    )
