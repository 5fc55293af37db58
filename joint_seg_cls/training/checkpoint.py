"""Checkpoints: tensors and plain values only, never pickled code.

A checkpoint is Lightning's with the additional entry ``joint_seg_cls``, the recipe: ``format``, ``network`` and
``preprocess`` (configurations), ``preprocess_format``, ``classes``, ``modalities``, ``model_shape``,
``lesion_threshold``, ``variant`` and ``trained_on`` (collection, hashes of data and split, fold, seed). With it the
network can be applied without the run folder. At the end of a training the tested weights get ``temperature``,
``calibration_scans``, ``intensities``, ``ranges`` and ``lesion_free`` (:func:`amend_recipe`).
"""

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.scan.checksums import file_sha256
from joint_seg_cls.training.archive import read_archive, tensors_of
from joint_seg_cls.training.checkpoint_values import plain_values, refuse_unreadable, unwritable
from joint_seg_cls.training.recipe import RECIPE, Recipe
from joint_seg_cls.training.shipped import is_pretrained, shipped_weights

#: Format version of the recipe.
FORMAT = 1
_PREFIX = "network."


@final
@dataclass(frozen=True)
class Checkpoint:
    """The weights of a trained network and its recipe."""

    path: Path
    recipe: Recipe
    weights: dict[str, Tensor]
    epoch: int

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return file_sha256(self.path)

    def load_into(self, network: nn.Module) -> None:
        """Load all weights into ``network``.

        Raises:
            CheckpointError: a weight is missing, superfluous, NaN or of another shape, or the image grid differs.
        """
        self._refuse_nan()
        try:
            network.load_state_dict(self.weights, strict=True)
        except (RuntimeError, ValueError, TypeError, LookupError) as error:  # also raised for an extra state
            lines = [line.strip() for line in str(error).splitlines()]
            reason = "; ".join(lines[1:4] or lines)[:300].rstrip(".")
            raise CheckpointError(
                self.path,
                expected="the weights of this network",
                found=reason,
                remedy="use the network it was trained with",
            ) from error

    def initialise(self, network: nn.Module) -> list[str]:
        """Load the matching weights into ``network`` for fine-tuning; return the names of its other weights.

        Raises:
            CheckpointError: no weight matches, or one is NaN.
        """
        self._refuse_nan()
        own = network.state_dict()
        fitting = {
            name: value
            for name, value in self.weights.items()
            if isinstance(own.get(name), Tensor) and own[name].shape == value.shape
        }
        tensors = {name for name, value in own.items() if isinstance(value, Tensor)}
        if not fitting:
            raise CheckpointError(
                self.path, expected="weights that match this network", found="none", remedy="choose another init_from="
            )
        network.load_state_dict(fitting, strict=False)
        return sorted(tensors - fitting.keys())

    def _refuse_nan(self) -> None:
        broken = [name for name, value in self.weights.items() if value.is_floating_point() and value.isnan().any()]
        if broken:
            raise CheckpointError(
                self.path,
                expected="weights without NaN",
                found=f"NaN in {len(broken)} of {len(self.weights)}, such as {broken[0]}",
                remedy="use the checkpoint of an earlier epoch, or train again",
            )


@final
class WholeCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint to a partial file and rename it, so that a killed run keeps the previous one.

    Lightning writes to the temporary folder instead, and copies the file if that is on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to the local file ``path``, completely or not at all.

        NumPy numbers become Python numbers, and arrays become tensors.

        Raises:
            CheckpointError: the disk is full or read-only.
            ConfigError: the state of a callback contains other values, which could be read only by executing code.
        """
        place, checkpoint = Path(path), plain_values(checkpoint)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(place) as partial:
                with partial.open("wb") as file:
                    torch.save(checkpoint, file)
                    file.flush()
                    os.fsync(file.fileno())
                refuse_unreadable(partial, checkpoint)
        except (pickle.PickleError, AttributeError, TypeError) as error:
            raise unwritable(checkpoint) or error from None
        except (OSError, RuntimeError) as error:  # torch raises a RuntimeError after the OSError
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            raise CheckpointError(
                place,
                expected="free space on the disk",
                found=cause.strerror or str(cause),
                remedy="free some space, and repeat the command: it continues after the last saved epoch",
            ) from error


def find_checkpoint(path: str | Path) -> Path:
    """Return a checkpoint file, or that of a run folder: the best weights, or the last if there are no best ones.

    ``pretrained`` is the installed checkpoint.
    """
    if is_pretrained(path):
        return shipped_weights()
    path = Path(path).expanduser()
    if path.is_dir():
        for name in ("best.ckpt", "last.ckpt"):
            if (path / "checkpoints" / name).is_file():
                return path / "checkpoints" / name
        raise CheckpointError(
            path,
            expected="checkpoints/best.ckpt or last.ckpt",
            found="neither",
            remedy="name the folder of a finished run",
        )
    if not path.is_file():
        raise CheckpointError(
            path, expected="a checkpoint or a run folder", found="no such file", remedy="correct the path"
        )
    return path


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, or the best one of a run folder, without executing code.

    Raises:
        CheckpointError: it is missing or damaged, contains pickled objects, or was not written by this program.
    """
    path = find_checkpoint(path)
    return parse_checkpoint(read_archive(path), path)


def amend_recipe(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to the recipe of a checkpoint file. Atomic.

    Raises:
        CheckpointError: the recipe is invalid with these entries, or the disk is full or read-only.
    """
    content = read_archive(path)
    recipe = plain_values({**content[RECIPE], **entries})
    Recipe.parse(recipe, path)
    WholeCheckpointIO().save_checkpoint(content | {RECIPE: recipe}, path)


def parse_checkpoint(content: dict[str, Any], path: Path) -> Checkpoint:
    """Return a checkpoint from the content of its file.

    Raises:
        CheckpointError: it was not written by this program, or an entry is missing, of another type or out of range.
    """
    recipe = content.get(RECIPE)
    if type(recipe) is not dict or type(recipe.get("format")) is not int or recipe["format"] != FORMAT:
        raise CheckpointError(
            path,
            expected=f"a checkpoint of joint_seg_cls (format {FORMAT})",
            found="no recipe" if type(recipe) is not dict else f"format {str(recipe.get('format'))[:20]}",
            remedy="train it with `jsc train`",
        )
    epoch = content.get("epoch")
    if type(epoch) is not int or not 0 <= epoch < 2**31:
        raise CheckpointError(
            path,
            expected="the number of the epoch (epoch), from 0",
            found="none" if epoch is None else str(epoch)[:40],
            remedy="copy it again, or train again with this program",
        )
    weights = tensors_of(content.get("state_dict"), path, prefix=_PREFIX)
    return Checkpoint(path, Recipe.parse(recipe, path), weights, epoch)
