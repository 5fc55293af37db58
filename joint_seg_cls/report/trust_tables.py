"""Tables of a study on how far its diagnoses can be trusted: calibration, coverage, audited explanations."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from joint_seg_cls.errors import InputError
from joint_seg_cls.inference.abstention import Limits
from joint_seg_cls.inference.explanation import SHUFFLES, Explanation, explain
from joint_seg_cls.metrics import BINS, cross_entropy, proportion_interval, summarise
from joint_seg_cls.report.figures_calibration import error_with_interval
from joint_seg_cls.report.figures_cases import Gallery, OpenNetwork
from joint_seg_cls.report.page import PROPORTION_INTERVALS, PageCell, PageTable, with_interval
from joint_seg_cls.report.runs import ReportRun
from joint_seg_cls.report.variants import Variant, classifying, joint_or_first, pool, seed_note

_log = logging.getLogger(__name__)
#: Least probabilities of the predicted class in the table of coverage.
_LEAST = (0.5, 0.6, 0.7, 0.8, 0.9)
#: Columns of the audited explanations: name in the file, row of the table, what an uninformative explanation gives.
_MEASURES = (
    ("location_map_lesion_share", "location map (Eq. 10): share in lesions", ""),
    ("location_map_enrichment", "location map (Eq. 10): enrichment in lesions", "1"),
    ("location_map_shuffled_similarity", "location map (Eq. 10): similarity after shuffling the classifier", "1"),
    ("grad_cam_lesion_share", "Grad-CAM: share in lesions", ""),
    ("grad_cam_enrichment", "Grad-CAM: enrichment in lesions", "1"),
    ("grad_cam_shuffled_similarity", "Grad-CAM: similarity after shuffling the classifier", "1"),
    ("deletion_fall", "deletion: fall of the probability, lesions filled", "0"),
    ("deletion_control_fall", "deletion: fall of the probability, control filled", "0"),
    ("deletion_difference", "deletion: difference of the two", "0"),
)


def calibration_table(variants: Sequence[Variant], *, seed: int, resamples: int) -> PageTable:
    """Return temperature, cross-entropy and calibration error of each variant that classifies."""
    rows = []
    for one in variants:
        found = [run.temperature for run in one.done if run.temperature is not None]
        ends = list(dict.fromkeys(f"{each(found):.2f}" for each in (min, max))) if found else []
        temperatures = f"{' to '.join(ends)} ({len(found)} of {len(one.done)})" if found else "none"
        disease = one.disease()
        errors = [
            with_interval(*error_with_interval(one, seed=seed, resamples=resamples, uncalibrated=before))
            for before in (True, False)
        ]
        losses = [f"{cross_entropy(each, disease):.3f}" for each in (one.uncalibrated(), one.probability())]
        cells = [one.label_with_progress(), str(len(disease)), temperatures, *losses]
        rows.append([*map(PageCell, cells), *errors])
    heads = ("method", "scans", "temperature by fold", "cross-entropy, T = 1", "cross-entropy", "ECE, T = 1", "ECE")
    caption = (
        "Out-of-fold class probabilities before and after temperature scaling. The temperature T of a run is fitted on "
        f"its inner validation split, never on its test fold. ECE: of the last class, {BINS} bins, with 95 % bootstrap "
        f"interval over subjects.{seed_note(variants)}"
    )
    return PageTable("Calibration of the diagnosis", heads, rows, caption)


def coverage_table(variants: Sequence[Variant], *, seed: int, resamples: int) -> PageTable:
    """Return share and accuracy of answered scans by the least probability of the predicted class."""
    rows = []
    for one in variants:
        probability = one.probability()
        draws: dict[str, Any] = {"seed": seed, "group": one.diagnosed()["subject"].to_numpy(), "resamples": resamples}
        right = probability.argmax(axis=1) == one.disease()
        for least in _LEAST:
            answered = probability.max(axis=1) >= least
            share = float(answered.mean())
            accuracy = float(right[answered].mean()) if answered.any() else math.nan
            above, below = (each.astype(np.float64) for each in (right & answered, answered))
            shares, accuracies = (
                proportion_interval(below, np.ones_like(below), **draws),
                proportion_interval(above, below, **draws),
            )
            texts = (one.label_with_progress(), f"{least:.1f}", f"{answered.sum()} of {len(answered)}")
            cells = [PageCell(text) for text in texts]
            rows.append([*cells, with_interval(share, shares), with_interval(accuracy, accuracies)])
    caption = (
        f"Scans whose predicted class has at least this probability; jsc predict answers from "
        f"{Limits().least_probability:g}. {PROPORTION_INTERVALS}{seed_note(variants)}"
    )
    heads = ("method", "least probability", "scans", "share answered", "accuracy among them")
    return PageTable("Coverage and accuracy", heads, rows, caption)


def audited_explanations(pooled: Variant, gallery: Gallery, most: int, *, seed: int) -> pd.DataFrame:
    """Return the audited explanation of test scans, one row per scan; without rows if there are no location maps.

    Lesions are those of the reference, and of the prediction where a scan has none.

    Args:
        gallery: opens its networks.
        most: maximum number of scans, equally spaced in the order of their names.
        seed: of fillings and shuffles.
    """
    tested = pooled.diagnosed().sort_values("case", ignore_index=True)
    chosen = tested.loc[np.unique(np.linspace(0, len(tested) - 1, min(most, len(tested))).round().astype(int))]
    rows = []
    for name, subject, fold in chosen[["case", "subject", "fold"]].itertuples(index=False):
        run = pooled.by_fold[str(fold)]
        case = gallery.case(run, name)
        predictor, image = gallery.network(run), np.asarray(case.image())
        found, reference = gallery.findings(run, case), case.lesion_mask()
        lesions = found.lesions if reference is None else np.asarray(reference, dtype=bool)
        if lesions is None:
            continue
        brain = np.asarray(case.brain_mask(), dtype=bool)
        voxel_ml = case.geometry.model.voxel_ml
        result = explain(
            predictor, predictor.network, image, found, brain=brain, lesions=lesions, voxel_ml=voxel_ml, seed=seed
        )
        if result is None or found.disease_probability is None:
            break
        predicted = pooled.classes[int(np.argmax(found.disease_probability))]
        rows.append({"case": name, "subject": subject, "fold": fold, "predicted": predicted, **_flat(result)})
    return pd.DataFrame(rows)


def explanation_table(pooled: Variant, audited: pd.DataFrame, *, seed: int) -> PageTable:
    """Return mean and 95 % interval of each measure of the audited explanations, over all scans and by predicted class.

    A class may be recognised by lesions that are absent: then its probability rises when lesions are filled.
    """
    if audited.empty:
        return PageTable(_title(pooled), missing=f"{pooled.label} has no location maps")
    parts = [audited, *(audited[audited["predicted"] == name] for name in pooled.classes)]
    rows = []
    for column, name, chance in _MEASURES:
        means = []
        for part in parts:
            found = summarise(part[column].to_numpy(dtype=np.float64), seed=seed, group=part["subject"].to_numpy())
            means.append(with_interval(found.mean, found.interval))
        rows.append([PageCell(name), *means, PageCell(chance)])
    caption = (
        f"{len(audited)} test scans, {_undefined(audited)}each by the network of its fold; maps of the predicted "
        "class on the network's grid. Share: of the positive part of the map that lies in lesions; enrichment: over "
        "the lesions' share of the brain. Similarity: Spearman's rank correlation over the brain with the map after "
        f"the values of each parameter of the classifier were shuffled (mean of {SHUFFLES}); near 1, the map does "
        "not depend on what the classifier learned. Deletion: lesions are replaced by the tissue around them; "
        "control: the mirror image of the lesions. A negative fall is a rise: the class is recognised by a lack of "
        "lesions. Means with 95 % bootstrap intervals over subjects."
    )
    names = (f"predicted {name} ({len(part)})" for name, part in zip(pooled.classes, parts[1:], strict=True))
    heads = ("measure", f"all scans ({len(audited)})", *names, "without information")
    return PageTable(_title(pooled), heads, rows, caption)


def trust_tables(
    runs: Iterable[ReportRun], *, open_network: OpenNetwork, explained: int, seed: int, resamples: int
) -> tuple[dict[str, PageTable], pd.DataFrame]:
    """Return all tables that the finished runs allow, by the name of their files, and the audited explanations.

    Args:
        open_network: rebuilds the network of a run folder.
        explained: largest number of scans whose explanation is audited; 0 for none.
        seed: of bootstraps, fillings and shuffles.
    """
    variants = classifying(pool(runs))
    if not variants:
        return {}, pd.DataFrame()
    tables = {"calibration": calibration_table(variants, seed=seed, resamples=resamples)}
    tables["coverage"] = coverage_table(variants, seed=seed, resamples=resamples)
    both = [one for one in variants if one.segments]
    if not both or not explained:
        return tables, pd.DataFrame()
    shown = joint_or_first(both)
    try:
        audited = audited_explanations(shown, Gallery(open_network), explained, seed=seed)
        table = explanation_table(shown, audited, seed=seed)
    except InputError as error:
        audited, table = pd.DataFrame(), PageTable(_title(shown), missing=str(error))
    except Exception as error:  # noqa: BLE001 - too little memory for a network must not prevent the other tables
        _log.exception("the explanations could not be audited")
        reason = f"could not be audited: {type(error).__name__}: {error}"
        audited, table = pd.DataFrame(), PageTable(_title(shown), missing=reason)
    return {**tables, "explanations": table}, audited


def _title(pooled: Variant) -> str:
    return f"Audit of the explanations of {pooled.label}"


def _undefined(audited: pd.DataFrame) -> str:
    """Return how many scans have no lesion, which leaves some of their measures undefined."""
    without = int(audited["deletion_fall"].isna().sum())
    return f"{without} of them without a lesion on the network's grid (only similarity is defined), " if without else ""


def _flat(result: Explanation) -> dict[str, float]:
    parts = {"location_map": result.location_map, "grad_cam": result.grad_cam, "deletion": result.deletion}
    flat = {f"{name}_{key}": value for name, part in parts.items() for key, value in asdict(part).items()}
    fall, control = result.deletion.fall, result.deletion.control_fall
    return flat | {"deletion_fall": fall, "deletion_control_fall": control, "deletion_difference": fall - control}
