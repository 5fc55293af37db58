"""The end of a training: the test of its fold, and what the tested weights record for use on new scans.

* ``temperature``, ``calibration_scans``: temperature of the class probabilities, fitted on the inner validation split;
* ``intensities``, ``ranges``: ranges of the training scans, to recognise a scan unlike them;
* ``lesion_free``: classes for which most training scans have no lesion.

These records do not use the test fold.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import InputError
from joint_seg_cls.evaluation import evaluate_cases, from_store, print_summary, summarise, write_evaluation
from joint_seg_cls.inference import Predictor, ranges_of, scan_ranges
from joint_seg_cls.metrics import MIN_SCANS, cross_entropy, fit_temperature, temperature_scaled
from joint_seg_cls.runs.data_checks import repeat_warnings
from joint_seg_cls.runs.load import load_predictor
from joint_seg_cls.scan import PreparedCase
from joint_seg_cls.training import Checkpoint, RunFolder, amend_recipe, read_checkpoint

_log = logging.getLogger(__name__)
#: Maximum number of measured training scans, equally spaced in their order.
_MOST_MEASURED = 100


def test_fold(run: RunFolder, data: JointDataModule, *, device: str, network: nn.Module | None) -> None:
    """Test a finished training once on its test fold, with the weights that its protocol selected.

    Args:
        network: receives the tested weights; None rebuilds it from the checkpoint.
    """
    predictor, checkpoint = load_predictor(run.path, device=device, network=network)
    classes = checkpoint.recipe.classes
    names = set(data.split.test)
    cases = map(from_store, [case for case in data.store.cases if case.case in names])
    failures: list[InputError] = []
    rows = evaluate_cases(cases, predictor, total=len(names), classes=classes, fold=data.fold, failures=failures)
    if rows.empty and failures:
        raise failures[0]
    summary = summarise(rows, classes)
    write_evaluation(rows, summary, run.path)
    title = f"{run.path}, {checkpoint.path.name}, epoch {checkpoint.epoch + 1}{split_of(checkpoint)}"
    print_summary(rows, summary, title)
    repeat_warnings(run.path)
    raise_first(failures, len(names))


def raise_first(failures: Sequence[InputError], total: int) -> None:
    """Raise the first error of single scans and log the others."""
    if failures:
        _log.error("%d of %d scans could not be tested and are not in these tables", len(failures), total)
    for failure in failures[1:]:
        _log.error("%s", failure)
    if failures:
        raise failures[0]


def split_of(checkpoint: Checkpoint) -> str:
    """Return the hash of the checkpoint's folds as a suffix for a title."""
    quoted = checkpoint.recipe.trained_on.get("folds_hash")
    return f", folds {quoted}" if quoted else ""


def calibrate(run: RunFolder, data: JointDataModule, *, device: str, network: nn.Module | None) -> float | None:
    """Complete the recipe of the tested weights of a finished training, once; return the temperature if one is fitted.

    Args:
        network: takes the weights; None builds it from the checkpoint.
    """
    checkpoint = read_checkpoint(run.path)
    if checkpoint.recipe.ranges:
        return checkpoint.recipe.temperature if checkpoint.recipe.calibration_scans else None
    by_name = {case.case: case for case in data.store.cases}
    trained = [by_name[name] for name in data.split.train]
    validated = [by_name[name] for name in data.split.validation if by_name[name].disease is not None]
    entries = _measured(trained)
    if validated:
        predictor, _ = load_predictor(run.path, device=device, network=network)
        entries |= _temperature(predictor, validated, checkpoint.recipe.classes)
    amend_recipe(checkpoint.path, entries)
    return entries.get("temperature")


def _measured(trained: Sequence[PreparedCase]) -> dict[str, Any]:
    chosen = trained[:: -(-len(trained) // _MOST_MEASURED)]
    scans = [case for case in chosen if not case.labels()]  # simulated scenes have no voxel size of a scanner
    return {
        "intensities": ranges_of(np.asarray(case.image()) for case in chosen),
        "ranges": scan_ranges((case.geometry.native.spacing_mm, _brain_ml(case)) for case in scans),
        "lesion_free": _lesion_free(trained),
    }


def _brain_ml(case: PreparedCase) -> float:
    """Return the brain volume in the scan's own grid; from the mask in model space where it is not recorded."""
    recorded = case.provenance.get("brain_ml")
    return float(recorded) if recorded is not None else float(case.brain_mask().sum()) * case.geometry.model.voxel_ml


def _lesion_free(trained: Sequence[PreparedCase]) -> list[str]:
    empty: dict[str, list[bool]] = defaultdict(list)
    for case in trained:
        mask = case.lesion_mask()
        if case.disease is not None and mask is not None:
            empty[case.disease].append(not mask.any())
    return sorted(disease for disease, each in empty.items() if np.mean(each) > 0.5)


def _temperature(predictor: Predictor, validated: Sequence[PreparedCase], classes: Sequence[str]) -> dict[str, Any]:
    found = []
    for case in validated:
        found.append(predictor(np.asarray(case.image()), case.case).disease_probability)
        if found[-1] is None:  # a network that does not classify
            return {}
    probability = np.array(found, dtype=np.float64)
    disease = np.array([classes.index(case.disease) for case in validated])
    temperature = fit_temperature(probability, disease)
    if temperature is None:
        _log.info(
            "class probabilities are not calibrated: expected %d validation scans with every class, found %d",
            MIN_SCANS,
            len(validated),
        )
        return {}
    _log.info(
        "temperature of the class probabilities: %.2f, from %d validation scans (cross-entropy %.3f, before %.3f)",
        temperature,
        len(validated),
        cross_entropy(temperature_scaled(probability, temperature), disease),
        cross_entropy(probability, disease),
    )
    return {"temperature": temperature, "calibration_scans": len(validated)}
