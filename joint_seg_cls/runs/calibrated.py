"""The end of a training: what the tested weights record of the validation and training scans, for use on new scans.

* ``temperature``, ``calibration_scans``: temperature of the class probabilities, fitted on the inner validation split;
* ``intensities``, ``ranges``: ranges of the training scans, to recognise a scan unlike them;
* ``lesion_free``: classes most of whose training scans have no lesion.

The test fold is not used.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from joint_seg_cls.data import JointDataModule
from joint_seg_cls.inference import Predictor, ranges_of, scan_ranges
from joint_seg_cls.metrics import LEAST_SCANS, cross_entropy, fit_temperature, tempered
from joint_seg_cls.runs.load import load_predictor
from joint_seg_cls.scan import PreparedCase
from joint_seg_cls.training import RunFolder, amend_recipe, read_checkpoint

_log = logging.getLogger(__name__)
#: Most training scans that are measured; of more, so many are taken at equal distances.
_MOST_MEASURED = 100


def calibrate(run: RunFolder, data: JointDataModule, *, device: str, network: nn.Module | None) -> float | None:
    """Complete the recipe of the tested weights of a finished training, once; return the temperature if one is fitted.

    Args:
        run: its folder.
        data: its data, set up.
        device: where to compute.
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
    return {
        "intensities": ranges_of(np.asarray(case.image()) for case in chosen),
        "ranges": scan_ranges((case.geometry.native.spacing_mm, _brain_ml(case)) for case in chosen),
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
            "class probabilities are not calibrated: that takes %d validation scans and some of each class, found %d",
            LEAST_SCANS,
            len(validated),
        )
        return {}
    _log.info(
        "temperature of the class probabilities: %.2f, from %d validation scans (cross-entropy %.3f, before %.3f)",
        temperature,
        len(validated),
        cross_entropy(tempered(probability, temperature), disease),
        cross_entropy(probability, disease),
    )
    return {"temperature": temperature, "calibration_scans": len(validated)}
