"""Pretrained weights installed with the program: ``checkpoint=pretrained`` and ``init_from=pretrained``.

:func:`release` converts a checkpoint for distribution: half-precision weights and the recipe, without optimiser state
and Lightning's record of the machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.training.recipe import RECIPE, Recipe

#: Name of the installed weights, used instead of a path.
PRETRAINED = "pretrained"
_WEIGHTS = Path(__file__).resolve().parents[1] / "pretrained" / "weights.ckpt"


def is_pretrained(path: object) -> bool:
    """Return whether ``path`` is the name of the installed weights; a folder of this name is ``./pretrained``."""
    return str(path) == PRETRAINED


def shipped_path() -> Path:
    """Return the path of the installed weights, which may be missing."""
    return _WEIGHTS


def shipped_weights() -> Path:
    """Return the path of the installed weights.

    Raises:
        CheckpointError: they are not installed.
    """
    if not _WEIGHTS.is_file():
        raise CheckpointError(
            _WEIGHTS,
            expected="the pretrained weights of this installation",
            found="no such file",
            remedy="install joint_seg_cls again, or name a checkpoint or a run folder",
        )
    return _WEIGHTS


def release(content: Mapping[str, Any], where: Path, decision: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a checkpoint for distribution, whose variant is ``pretrained``.

    Args:
        decision: entries of the recipe selected after the training: ``lesion_threshold``, ``views``,
            ``least_lesion_mm3``, ``window``, ``intensities``.

    Raises:
        CheckpointError: the changed recipe is invalid.
    """
    recipe = {**content[RECIPE], **decision, "variant": PRETRAINED}
    Recipe.parse(recipe, where)
    return {"state_dict": _halved(content["state_dict"]), "epoch": content["epoch"], RECIPE: recipe}


def _halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.to(torch.float16) if value.is_floating_point() else value.clone()
        for name, value in weights.items()
        if name.startswith("network.")
    }
