"""Prediction of the disease from features: cross-validated classifiers, intervals, and permutation tests."""

import numpy as np
from scipy.stats import rankdata
from sklearn.base import ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 10
RESAMPLES = 2000
#: Ridge penalty of the permutation test's linear classifier, per standardised column.
PENALTY = 10.0


def models() -> list[ClassifierMixin]:
    """Return the classifiers of the oracle, which averages their probabilities: boosting, a forest and a linear one."""
    return [
        HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.08, max_leaf_nodes=8, l2_regularization=1.0, random_state=0
        ),
        ExtraTreesClassifier(400, min_samples_leaf=2, max_features=0.2, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=3000)),
    ]


def out_of_fold(features: np.ndarray, disease: np.ndarray) -> np.ndarray:
    """Return each subject's probability of the second disease from models not trained on the subject."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return np.mean(
        [cross_val_predict(model, features, disease, cv=folds, method="predict_proba")[:, 1] for model in models()],
        axis=0,
    )


def auc_interval(disease: np.ndarray, score: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Return the AUC and its 95 % bootstrap interval over subjects."""
    chosen = np.random.default_rng(seed).integers(len(disease), size=(len(disease), RESAMPLES))
    low, high = np.nanpercentile(_aucs(score[chosen], disease[chosen]), (2.5, 97.5))
    return float(_aucs(score[:, None], disease[:, None])[0]), float(low), float(high)


def permutation_test(features: np.ndarray, disease: np.ndarray, permutations: int, seed: int) -> tuple[float, float]:
    """Test whether ``features`` predict the disease at all.

    The statistic is the mean over folds of the AUC of a ridge classifier on the standardised columns and their squares;
    its predictions are linear in the labels, so all permutations are solved at once. Returns AUC and one-sided p.
    """
    columns = _with_squares(features)
    rng = np.random.default_rng(seed)
    labels = np.stack([disease, *(rng.permutation(disease) for _ in range(permutations))], axis=1).astype(float)
    folds = list(KFold(FOLDS, shuffle=True, random_state=seed).split(columns))
    aucs = np.nanmean([_fold_aucs(columns, labels, train, test) for train, test in folds], axis=0)
    return float(aucs[0]), float((aucs >= aucs[0]).sum() / len(aucs))


def _fold_aucs(columns: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    known, mean = columns[train], labels[train].mean(axis=0)
    weights = np.linalg.solve(known.T @ known + PENALTY * np.eye(columns.shape[1]), known.T @ (labels[train] - mean))
    return _aucs(columns[test] @ weights, labels[test])


def _aucs(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the AUC of each column (Mann-Whitney), NaN where it holds one disease alone."""
    ranks = rankdata(scores, axis=0)
    n, m = positive.sum(axis=0), (1 - positive).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((ranks * positive).sum(axis=0) - n * (n + 1) / 2) / (n * m)


def _with_squares(features: np.ndarray) -> np.ndarray:
    def standard(values: np.ndarray) -> np.ndarray:
        spread = values.std(axis=0)
        kept = spread > 1e-9
        return (values[:, kept] - values[:, kept].mean(axis=0)) / spread[kept]

    once = standard(np.asarray(features, dtype=np.float64))
    return np.concatenate([once, standard(once**2)], axis=1)


def holm(p_values: list[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979)."""
    order = np.argsort(p_values)
    adjusted = np.maximum.accumulate([(len(p_values) - k) * p_values[i] for k, i in enumerate(order)])
    result = np.empty(len(p_values))
    result[order] = np.minimum(adjusted, 1)
    return result.tolist()
