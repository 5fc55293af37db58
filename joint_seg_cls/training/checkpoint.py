"""What a checkpoint holds and how it is read: tensors and plain values only, never pickled code.

A checkpoint is Lightning's own, plus the entry ``joint_seg_cls``, its recipe: ``format``, ``network`` (its
configuration), ``preprocess`` (likewise), ``preprocess_format`` (the store's), ``classes``, ``modalities``,
``model_shape``, ``lesion_threshold``, ``variant`` and ``trained_on`` (collection, hashes of data and split, fold,
seed). With it a scan can be read without the run folder.
"""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.training.archive import read_archive, tensors_of
from joint_seg_cls.training.plain_values import plain_values, refuse_unreadable, unwritable
from joint_seg_cls.training.recipe import RECIPE, Recipe
from joint_seg_cls.training.shipped import is_pretrained, shipped_weights
from joint_seg_cls.whole_file import whole_file

#: The version of a recipe's layout.
FORMAT = 1
_PREFIX = "network."


@final
@dataclass(frozen=True)
class Checkpoint:
    """A trained network's weights with its recipe."""

    path: Path
    recipe: Recipe
    weights: dict[str, Tensor]
    epoch: int

    def load_into(self, network: nn.Module) -> None:
        """Give ``network`` these weights, all of them.

        Raises:
            CheckpointError: a weight is missing, left over, NaN or of another shape; or the network was built for
                another grid.
        """
        self._refuse_nan()
        try:
            network.load_state_dict(self.weights, strict=True)
        except (RuntimeError, ValueError, TypeError, LookupError) as error:  # besides torch's own, of an extra state
            lines = [line.strip() for line in str(error).splitlines()]
            reason = "; ".join(lines[1:4] or lines)[:300].rstrip(".")
            raise CheckpointError(
                self.path,
                expected="the weights of this network",
                found=reason,
                remedy="use the network it was trained with",
            ) from error

    def initialise(self, network: nn.Module) -> list[str]:
        """Give ``network`` the weights that fit, for fine-tuning; return the names of those that do not and stay new.

        Raises:
            CheckpointError: nothing fits, or a weight is NaN.
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
                self.path, expected="weights that fit this network", found="none", remedy="choose another init_from="
            )
        network.load_state_dict(fitting, strict=False)
        return sorted(tensors - fitting.keys())

    def _refuse_nan(self) -> None:
        broken = [name for name, value in self.weights.items() if value.is_floating_point() and value.isnan().any()]
        if broken:
            raise CheckpointError(
                self.path,
                expected="weights that are numbers",
                found=f"NaN in {len(broken)} of {len(self.weights)}, such as {broken[0]}",
                remedy="use the checkpoint of an earlier epoch, or train again",
            )


@final
class WholeCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place and move it there: a run killed meanwhile keeps the one before.

    Lightning's own writes into the temporary folder, and copies from there where that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to the local file ``path``, whole or not at all.

        NumPy's numbers become plain ones and its arrays tensors. What could not be read again, or only by executing
        code, is not written.

        Raises:
            CheckpointError: the disk is full, or takes no file.
            ConfigError: a callback's state holds more than tensors and plain values.
        """
        place, checkpoint = Path(path), plain_values(checkpoint)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(place) as partial:
                with partial.open("wb") as file:
                    torch.save(checkpoint, file)
                    file.flush()
                    os.fsync(file.fileno())
                refuse_unreadable(partial, checkpoint)
        except (pickle.PickleError, AttributeError, TypeError) as error:
            raise unwritable(checkpoint) or error from None
        except (OSError, RuntimeError) as error:  # torch raises its own while it leaves a file that is cut short
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            raise CheckpointError(
                place,
                expected="room to write to",
                found=cause.strerror or str(cause),
                remedy="make room, and repeat the command: it goes on after the last epoch that was kept",
            ) from error


def find_checkpoint(path: str | Path) -> Path:
    """Return the file of a checkpoint or a run folder: its best weights, or its last where it chose none.

    ``pretrained`` is the checkpoint that is installed with the program.
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
            remedy="name a run folder that was trained",
        )
    if not path.is_file():
        raise CheckpointError(
            path, expected="a checkpoint or a run folder", found="nothing there", remedy="correct the path"
        )
    return path


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint or a run folder's best one without executing anything it holds.

    Raises:
        CheckpointError: there is none, it is damaged, it holds pickled objects, or it is not one of ours.
    """
    path = find_checkpoint(path)
    return parse_checkpoint(read_archive(path), path)


def parse_checkpoint(content: dict[str, Any], path: Path) -> Checkpoint:
    """Return the checkpoint that a file's ``content`` is.

    Raises:
        CheckpointError: it is not one of ours, or an entry is missing, of another type or out of range.
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
