"""Description of the networks of a prediction, for its record."""

from collections.abc import Sequence
from typing import Any

from joint_seg_cls.training import Checkpoint


def card_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what the records of predictions state about a network."""
    recipe = checkpoint.recipe
    return {
        "variant": recipe.variant,
        "trained_on": recipe.trained_on,
        "epoch": checkpoint.epoch,
        "temperature": recipe.temperature,
        "calibration_scans": recipe.calibration_scans,
        "lesion_threshold": recipe.lesion_threshold,
        "least_lesion_mm3": recipe.least_lesion_mm3,
        "sha256": checkpoint.sha256,
    }


def merged(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return :func:`common` of each entry."""
    return {key: common([each.get(key) for each in facts]) for key in facts[0]}


def common(values: Sequence[Any]) -> Any:
    """Return the value that all members have, or the list of their values."""
    return values[0] if all(value == values[0] for value in values) else list(values)
