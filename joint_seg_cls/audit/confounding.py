r"""Confounding: whether site, scanner, voxel size, age or sex alone predicts the disease.

If a network can recognise them (from contrast, resolution, atrophy), it can use them instead of lesions, and its score
is not evidence of a diagnosis. Each predictor alone predicts the class of unseen scans; folds are stratified by class
and grouped by subject. The score of a scan for class :math:`c` is the shrunken rate of its kind minus the base rate,

.. math:: \frac{n_{kc} + 2 p_c}{n_k + 2} - p_c

:math:`n_k`: training scans of kind :math:`k` (a category, or a leaf of a small tree over numbers); :math:`n_{kc}`:
those of class :math:`c`; :math:`p_c`: the fraction of :math:`c`. The AUC of a class is the fraction of correctly
ordered pairs, one scan of the class and one of another, within a fold (scores of different folds are not comparable);
ties count half. The mean over classes is reported with a bootstrap interval over subjects.
"""

import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.tree import DecisionTreeClassifier

from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding
from joint_seg_cls.audit.predictors import Confounder
from joint_seg_cls.metrics import bootstrap_interval

#: Lower limit of the interval above which a predictor is reported.
TELLING = 0.6
#: Minimum number of subjects per class.
FEWEST = 5
#: Minimum number of subjects for reporting a category of one class.
_FEWEST_OF_CATEGORY = 3
_SHRINK = 2.0
_FOLDS = 5
_LEAVES, _LEAST_IN_LEAF = 6, 5
_SEED = 0


@final
@dataclass(frozen=True)
class Confounding:
    """Prediction of the disease from one predictor; ``auc`` and its interval are NaN for too few subjects."""

    predictor: str
    scans: int
    auc: float
    low: float
    high: float
    pure: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """AUC, interval, and categories of one class only."""
        auc = "too few subjects" if math.isnan(self.auc) else f"AUC {self.auc:.2f} ({self.low:.2f} to {self.high:.2f})"
        return "; ".join([auc, *self.pure])

    def to_json(self) -> dict[str, Any]:
        """Return the values, with null for undefined ones."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def confounding_from_json(record: Mapping[str, Any]) -> Confounding:
    """Return the result from the output of :meth:`Confounding.to_json`."""
    value, low, high = (math.nan if record[key] is None else float(record[key]) for key in ("auc", "low", "high"))
    return Confounding(record["predictor"], record["scans"], value, low, high, tuple(record["pure"]))


def measure_confounding(
    scans: Sequence[ScanFacts], predictors: Sequence[Confounder], classes: Sequence[str]
) -> list[Confounding]:
    """Predict the disease of scans with a known disease from each predictor."""
    known = [number for number, scan in enumerate(scans) if scan.disease in classes]
    names = [name for name in classes if any(scans[number].disease == name for number in known)]
    disease = np.array([names.index(scans[number].disease or "") for number in known], dtype=np.int64)
    subject = np.array([scans[number].subject for number in known])
    found = []
    for predictor in predictors:
        kinds, numbers = predictor.of(known)
        if len(names) < 2 or (numbers is None and len(set(kinds)) < 2):
            continue
        scores = _out_of_fold(kinds, numbers, disease, subject, len(names))
        value = low = high = math.nan
        if scores is not None:
            value, (low, high) = _area(*scores, disease, subject)
        pure = _pure(kinds, disease, subject, names) if numbers is None and predictor.is_acquisition else ()
        found.append(Confounding(predictor.name, len(known), value, low, high, pure))
    return found


def check_confounding(
    found: Sequence[Confounding], predictors: Sequence[Confounder], scans: Sequence[ScanFacts]
) -> list[Finding]:
    """Warn of predictors that predict the disease or have categories of one class only."""
    by_name = {predictor.name: predictor for predictor in predictors}
    findings = []
    for one in found:
        telling = one.low > TELLING
        if telling or one.pure:
            findings.append(
                Finding(
                    "warning" if by_name[one.predictor].is_expected else "note",
                    "confounding",
                    f"that {one.predictor} alone does not predict the disease (AUC about 0.5)",
                    f"{one.predictor} alone predicts the disease: {one.sentence}",
                    "a network that recognises it can predict the disease without lesions; report scores within "
                    "each of its values, or test with data/folds=leave_one_site_out",
                )
            )
    people = [{s.subject for s in scans if s.disease == name} for name in {s.disease for s in scans} - {None}]
    if len(people) > 1 and min(map(len, people)) < FEWEST:
        findings.append(
            Finding(
                "note",
                "confounding",
                f"at least {FEWEST} subjects of each class",
                f"fewer than {FEWEST} subjects of a class: too few to test whether site, scanner, age or sex predict "
                "the disease",
                "check the tables by eye",
            )
        )
    return findings


def _out_of_fold(
    kinds: Sequence[str],
    numbers: Float[np.ndarray, "scans features"] | None,
    disease: Int[np.ndarray, " scans"],
    subject: np.ndarray,
    classes: int,
) -> tuple[Float[np.ndarray, "scans classes"], Int[np.ndarray, " scans"]] | None:
    """Return out-of-fold scores of each scan and its fold; None for too few subjects."""
    smallest = min(len(set(subject[disease == code])) for code in range(classes))
    if smallest < FEWEST:
        return None
    scores, folds = np.zeros((len(disease), classes)), np.zeros(len(disease), dtype=np.int64)
    cutter = StratifiedGroupKFold(min(_FOLDS, smallest), shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about classes with fewer scans than folds, which were excluded
        parts = list(cutter.split(np.zeros(len(disease)), disease, subject))
    for fold, (train, test) in enumerate(parts):
        folds[test] = fold
        own = np.asarray(kinds) if numbers is None else _leaves(numbers, disease, train)
        base = np.bincount(disease[train], minlength=classes) / len(train)
        for kind in set(own[test]):
            like = train[own[train] == kind]
            rate = (np.bincount(disease[like], minlength=classes) + _SHRINK * base) / (len(like) + _SHRINK)
            scores[test[own[test] == kind]] = rate - base
    return scores, folds


def _leaves(
    numbers: Float[np.ndarray, "scans features"], disease: Int[np.ndarray, " scans"], train: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " scans"]:
    least = min(max(_LEAST_IN_LEAF, len(train) // 20), max(len(train) // 4, 1))
    tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, min_samples_leaf=least, random_state=_SEED)
    return tree.fit(numbers[train], disease[train]).apply(numbers)


def _area(
    scores: Float[np.ndarray, "scans classes"],
    folds: Int[np.ndarray, " scans"],
    disease: Int[np.ndarray, " scans"],
    subject: np.ndarray,
) -> tuple[float, tuple[float, float]]:
    rounded = np.round(scores, 12)  # kinds with equal rates are ties
    per_class = []
    for code in range(scores.shape[1]):
        own, other = np.flatnonzero(disease == code), np.flatnonzero(disease != code)
        together = folds[own][:, None] == folds[other]
        above = rounded[own, code][:, None] - rounded[other, code]
        per_class.append((own, other, together.astype(float), together * (np.sign(above) + 1) / 2))

    def over(chosen: np.ndarray) -> float:
        times = np.bincount(chosen, minlength=len(disease)).astype(float)
        areas = []
        for own, other, together, right in per_class:
            pairs = times[own] @ together @ times[other]
            if pairs:
                areas.append(times[own] @ right @ times[other] / pairs)
        return float(np.mean(areas)) if areas else math.nan

    every = np.arange(len(disease))
    low, high = bootstrap_interval(every, over, group=subject, seed=_SEED)
    return over(every), (low, high)


def _pure(
    kinds: Sequence[str], disease: Int[np.ndarray, " scans"], subject: np.ndarray, names: Sequence[str]
) -> tuple[str, ...]:
    """Return a sentence for each category of one class only."""
    members: dict[str, list[int]] = defaultdict(list)
    for number, kind in enumerate(kinds):
        members[kind].append(number)
    sentences = []
    for kind, own in sorted(members.items()):
        people = len(set(subject[own]))
        if kind and people >= _FEWEST_OF_CATEGORY and len(set(disease[own])) == 1:
            sentences.append(f"{kind} is all {names[disease[own[0]]]} ({len(own)} scans of {people} subjects)")
    return tuple(sentences)
