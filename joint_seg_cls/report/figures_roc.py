"""ROC curves with bootstrap bands, from out-of-fold probabilities (Huang et al. 2024 [1], Fig. 9 and 11).

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from sklearn.metrics import roc_curve

from joint_seg_cls.metrics import auc, bootstrap_interval
from joint_seg_cls.report.figure import COLOURS, Figure, canvas, save
from joint_seg_cls.report.variants import JOINT, Variant, seed_note

#: False positive rates at which bootstrap curves are evaluated.
GRID = np.linspace(0, 1, 201)
_RESAMPLES, _CONFIDENCE = 1000, 0.95


def draw_roc(variants: Sequence[Variant], out: Path, name: str, title: str, *, seed: int) -> Figure:
    """Draw the ROC curve of each variant with its pointwise 95 % band and its AUC."""
    drawn = canvas(5.2, 5.6 + 0.18 * len(variants))
    axes = drawn.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    for one, colour in zip(variants, colours(variants), strict=True):
        score, positive = scores(one)
        subjects = one.diagnosed()["subject"].to_numpy()
        low, high = band(score, positive, subjects, seed=seed)
        false, true, _ = roc_curve(positive, score)
        axes.fill_between(GRID, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(false, true, color=colour, linewidth=1.6, label=f"{one.label_with_progress()}: {_area(one, seed)}")
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.003), aspect="equal")
    drawn.legend(loc="outside lower center", fontsize=8, frameon=False, title="AUC (95 % interval)", title_fontsize=8)
    return Figure(name, title, _caption(variants), save(drawn, out, name))


def colours(variants: Sequence[Variant]) -> list[str]:
    """Return a colour for each variant: black for the joint model, the others in order."""
    others = itertools.cycle(COLOURS[1:])
    return [COLOURS[0] if one.base == JOINT else next(others) for one in variants]


def scores(one: Variant) -> tuple[Float[np.ndarray, " scans"], Bool[np.ndarray, " scans"]]:
    """Return the probability of the last class (the positive one), and whether the scan is of that class."""
    return one.probability()[:, -1], one.disease() == len(one.classes) - 1


def band(
    score: Float[np.ndarray, " scans"], positive: Bool[np.ndarray, " scans"], subjects: np.ndarray, *, seed: int
) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, " grid"]]:
    """Return the pointwise 95 % band of sensitivity over :data:`GRID`, resampling whole subjects.

    Resamples without scans of a class are excluded; if none is left, the band is NaN.
    """
    _, code = np.unique(subjects, return_inverse=True)
    count = code.max() + 1
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # of the scans of each score
    generator = np.random.default_rng(seed)
    curves = []
    for _ in range(_RESAMPLES):
        drawn = np.bincount(generator.integers(count, size=count), minlength=count)[code][order]
        true, false = (np.append(0, np.cumsum(drawn * own)[last]) for own in (positive[order], ~positive[order]))
        if true[-1] and false[-1]:
            curves.append(np.interp(GRID, false / false[-1], true / true[-1]))
    if not curves:
        return np.full(len(GRID), np.nan), np.full(len(GRID), np.nan)
    low, high = np.quantile(curves, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2], axis=0)
    return low, high


def _area(one: Variant, seed: int) -> str:
    """Return the area under the drawn curve: the last class against the rest."""
    score, positive = scores(one)
    probability, disease = np.stack([1 - score, score], axis=1), positive.astype(np.int64)

    def over(chosen: np.ndarray) -> float:
        return auc(probability[chosen], disease[chosen])

    every = np.arange(len(disease))
    low, high = bootstrap_interval(every, over, seed=seed, group=one.diagnosed()["subject"].to_numpy())
    return f"{over(every):.3f} ({low:.3f} to {high:.3f})"


def _caption(variants: Sequence[Variant]) -> str:
    first = variants[0]
    *others, positive = first.classes
    counts = first.diagnosed()["disease"].value_counts()
    scans = ", ".join(f"{counts.get(name, 0)} {name}" for name in first.classes)
    several = " (there over the classes too, each against the rest)" if len(others) > 1 else ""
    return (
        f"Positive class: {positive}, against {' or '.join(others)}. Out-of-fold probabilities of all finished folds, "
        f"pooled ({first.label}: {scans}); tables have the mean over folds{several}. Bands and intervals: 95 %, "
        f"{_RESAMPLES} bootstrap resamples of whole subjects; bands are pointwise.{seed_note(variants)}"
    )
