"""Calibration of class probabilities, and accuracy against the share of scans that are answered."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import brier_score_loss

from joint_seg_cls.inference.abstention import Limits
from joint_seg_cls.metrics import BINS, RESAMPLES, Interval, bootstrap_interval, coverage_curve, reliability
from joint_seg_cls.metrics import expected_calibration_error as calibration_error
from joint_seg_cls.report.figure import COLOURS, Figure, canvas, save
from joint_seg_cls.report.figures_roc import colours, scores
from joint_seg_cls.report.variants import Variant, seed_note

_COLUMNS = 4
#: Shares of answered scans at which bootstrap curves are evaluated, and their number.
_GRID, _RESAMPLES = np.linspace(0.1, 1, 91), 500


def draw_calibration(variants: Sequence[Variant], out: Path, name: str, title: str, *, seed: int) -> Figure:
    """Draw one reliability diagram per variant, with the number of scans in each bin below."""
    rows = math.ceil(len(variants) / _COLUMNS)
    columns = min(len(variants), _COLUMNS)
    drawn = canvas(3.0 * columns, 3.6 * rows)
    heights = [3, 1] * rows
    grid = drawn.subplots(2 * rows, columns, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})
    for number in range(rows * columns):
        above, below = (grid[2 * (number // columns) + part, number % columns] for part in (0, 1))
        if number < len(variants):
            _draw_one(above, below, variants[number], seed)
        else:
            above.axis("off")
            below.axis("off")
    return Figure(name, title, _caption(variants), save(drawn, out, name))


def draw_coverage(variants: Sequence[Variant], out: Path, name: str, title: str, *, seed: int) -> Figure:
    """Draw the accuracy among answered scans against their share, with pointwise 95 % bands."""
    least = Limits().least_probability
    drawn = canvas(5.2, 4.6 + 0.18 * len(variants))
    axes = drawn.add_subplot()
    for one, colour in zip(variants, colours(variants), strict=True):
        probability, disease, subjects = one.probability(), one.disease(), one.diagnosed()["subject"].to_numpy()
        low, high = _band(probability, disease, subjects, seed)
        curve = coverage_curve(probability, disease)
        axes.fill_between(_GRID, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.step(curve.coverage, curve.accuracy, where="pre", color=colour, linewidth=1.6, label=one.label)
        answered = np.flatnonzero(curve.probability >= least)
        if answered.size:
            axes.plot(curve.coverage[answered[-1]], curve.accuracy[answered[-1]], "o", color=colour, markersize=6)
    axes.set(xlabel="share of scans answered", ylabel="accuracy among them", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(visible=True, color="0.92")
    drawn.legend(loc="outside lower center", fontsize=8, frameon=False)
    caption = (
        "Scans are answered from the highest probability of the predicted class down; the curve ends at the accuracy "
        f"over all scans. Dot: at a least probability of {least:g}, the default of jsc predict, whose rule has further "
        "reasons that this curve leaves out. Bands: 95 %, pointwise, "
        f"{_RESAMPLES} bootstrap resamples of whole subjects, from a tenth of the scans; a band without "
        f"width, where all answers are right, does not mean certainty (see the table).{seed_note(variants)}"
    )
    return Figure(name, title, caption, save(drawn, out, name))


def error_with_interval(
    one: Variant, *, seed: int, resamples: int = RESAMPLES, uncalibrated: bool = False
) -> tuple[float, Interval]:
    """Return the calibration error of the last class's probability, and its 95 % interval over subjects."""
    probability, positive = _scores(one, uncalibrated=uncalibrated)

    def over(chosen: np.ndarray) -> float:
        return calibration_error(probability[chosen], positive[chosen])

    every = np.arange(len(probability))
    group = one.diagnosed()["subject"].to_numpy()
    return over(every), bootstrap_interval(every, over, seed=seed, group=group, resamples=resamples)


def _scores(one: Variant, *, uncalibrated: bool) -> tuple[np.ndarray, np.ndarray]:
    probability, positive = scores(one)
    return (one.uncalibrated()[:, -1] if uncalibrated else probability), positive


def _draw_one(above: Axes, below: Axes, one: Variant, seed: int) -> None:
    probability, positive = scores(one)
    above.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    if one.is_calibrated:
        mean, share, count = reliability(one.uncalibrated()[:, -1], positive)
        above.plot(mean[count > 0], share[count > 0], marker="o", markersize=3, color="0.6", linewidth=1)
    mean, share, count = reliability(probability, positive)
    above.plot(mean[count > 0], share[count > 0], marker="o", markersize=4, color=COLOURS[1], linewidth=1.4)
    brier = brier_score_loss(positive, probability)
    error, (low, high) = error_with_interval(one, seed=seed)
    above.set_title(
        f"{one.label_with_progress()}\nBrier {brier:.3f}, ECE {error:.3f} ({low:.3f} to {high:.3f})", fontsize=8
    )
    above.set_ylim(-0.02, 1.02)
    above.set_ylabel(f"share of {one.classes[-1]}", fontsize=8)
    below.bar(np.arange(BINS) / BINS + 0.5 / BINS, count, width=0.9 / BINS, color="0.6")
    below.set_xlim(0, 1)
    below.set_xlabel(f"probability of {one.classes[-1]}", fontsize=8)
    below.set_ylabel("scans", fontsize=8)
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    for axes in (above, below):
        axes.tick_params(labelsize=7)


def _band(
    probability: Float[np.ndarray, "scans classes"], disease: np.ndarray, subjects: np.ndarray, seed: int
) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, " grid"]]:
    """Return the pointwise 95 % band of the accuracy over :data:`_GRID`, resampling whole subjects."""
    _, code = np.unique(subjects, return_inverse=True)
    members = [np.flatnonzero(code == one) for one in range(code.max() + 1)]
    generator = np.random.default_rng(seed)
    curves = np.empty((_RESAMPLES, len(_GRID)))
    for row in curves:
        drawn = np.concatenate([members[one] for one in generator.integers(len(members), size=len(members))])
        curve = coverage_curve(probability[drawn], disease[drawn])
        row[:] = curve.accuracy[np.minimum(np.searchsorted(curve.coverage, _GRID - 1e-9), len(curve.coverage) - 1)]
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    return low, high


def _caption(variants: Sequence[Variant]) -> str:
    base, positive = float(scores(variants[0])[1].mean()), variants[0].classes[-1]
    calibrated = any(one.is_calibrated for one in variants)
    how = (
        "at the temperature fitted on each run's inner validation split (grey: at temperature 1)"
        if calibrated
        else "without calibration, as no run has fitted a temperature"
    )
    return (
        f"Out-of-fold probabilities of {positive} in {BINS} bins of equal width, {how}. Brier: mean "
        f"squared error of the probability; always predicting the prevalence of {positive} "
        f"({base:.2f}) gives {base * (1 - base):.3f}. ECE: mean distance from the diagonal, bins weighted by "
        "scans, with its 95 % bootstrap interval over subjects; with few scans it is above 0 also for calibrated "
        "probabilities."
        f"{seed_note(variants)}"
    )
