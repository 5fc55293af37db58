"""The weights that are installed with the program: ``checkpoint=pretrained`` and ``init_from=pretrained``.

A trained checkpoint is made ready to ship by :func:`release`: weights in half precision and the recipe, without the
optimiser and what Lightning notes of the machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.training.recipe import RECIPE, Recipe

#: The name of the installed weights, in place of a path.
PRETRAINED = "pretrained"
_WEIGHTS = Path(__file__).resolve().parents[1] / "pretrained" / "weights.ckpt"


def is_pretrained(path: object) -> bool:
    """Return whether ``path`` names the installed weights; a folder of this name is ``./pretrained``."""
    return str(path) == PRETRAINED


def shipped_path() -> Path:
    """Return where the weights are installed, whether or not they are there."""
    return _WEIGHTS


def shipped_weights() -> Path:
    """Return the file of the installed weights.

    Raises:
        CheckpointError: the installation lacks it.
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
    """Return what of a checkpoint is shipped.

    Args:
        content: of a checkpoint of this program.
        where: names it in an error.
        decision: entries of the recipe that were chosen after the training: ``lesion_threshold``, ``views``,
            ``least_lesion_mm3``, ``window``, ``intensities``.

    Raises:
        CheckpointError: the recipe does not hold after the change.
    """
    recipe = {**content[RECIPE], **decision}
    Recipe.parse(recipe, where)
    return {"state_dict": _halved(content["state_dict"]), "epoch": content["epoch"], RECIPE: recipe}


def _halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.to(torch.float16) if value.is_floating_point() else value.clone()
        for name, value in weights.items()
        if name.startswith("network.")
    }
