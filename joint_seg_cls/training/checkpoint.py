"""What a checkpoint holds and how it is read: tensors and plain values only, never pickled code.

A checkpoint is Lightning's own, plus the entry ``joint_seg_cls``, its recipe: ``format``, ``network`` (its
configuration), ``preprocess`` (likewise), ``preprocess_format`` (the store's), ``classes``, ``modalities``,
``model_shape``, ``lesion_threshold``, ``variant`` and ``trained_on`` (collection, hashes of data and split, fold,
seed). With it a scan can be read without the run folder.
"""

import os
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.training.plain_values import plain_values, refuse_unreadable, unwritable
from joint_seg_cls.whole_file import whole_file

#: The entry of a checkpoint in which the recipe lies, and the version of its layout.
RECIPE = "joint_seg_cls"
FORMAT = 1
_PREFIX = "network."


@final
@dataclass(frozen=True)
class Checkpoint:
    """A trained network's weights with its recipe."""

    path: Path
    recipe: dict[str, Any]
    weights: dict[str, Tensor]
    epoch: int

    def load_into(self, network: nn.Module) -> None:
        """Give ``network`` these weights, all of them.

        Raises:
            CheckpointError: a weight is missing, left over or of another shape; or the network was built for another
                grid.
        """
        try:
            network.load_state_dict(self.weights, strict=True)
        except RuntimeError as error:
            reason = "; ".join(line.strip() for line in str(error).splitlines()[1:4])
            raise CheckpointError(
                self.path,
                expected="the weights of this network",
                found=reason,
                remedy="use the network it was trained with",
            ) from error

    def initialise(self, network: nn.Module) -> list[str]:
        """Give ``network`` the weights that fit, for fine-tuning; return the names of those that do not and stay new.

        Raises:
            CheckpointError: nothing fits.
        """
        own = network.state_dict()
        fitting = {
            name: value
            for name, value in self.weights.items()
            if isinstance(value, Tensor)
            and name in own
            and isinstance(own[name], Tensor)
            and own[name].shape == value.shape
        }
        tensors = {name for name, value in own.items() if isinstance(value, Tensor)}
        if not fitting:
            raise CheckpointError(
                self.path, expected="weights that fit this network", found="none", remedy="choose another init_from="
            )
        network.load_state_dict(fitting, strict=False)
        return sorted(tensors - fitting.keys())


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
    """Return the file behind a checkpoint or a run folder (its best weights, or its last where it chose none)."""
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
    try:
        if not zipfile.is_zipfile(path):  # as torch has written them since 1.6; what it reads besides is pickled alone
            raise ValueError("no archive of torch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an odd pickle protocol, which is then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            path,
            expected="a checkpoint of tensors and plain values",
            found=f"a damaged file, or one with code in it ({reason})",
            remedy="copy it again, or delete it and train again with this program",
        ) from error
    recipe = content.get(RECIPE) if isinstance(content, dict) else None
    if not isinstance(recipe, dict) or recipe.get("format") != FORMAT:
        found = "no recipe" if not isinstance(recipe, dict) else f"format {recipe.get('format')}"
        raise CheckpointError(
            path,
            expected=f"a checkpoint of joint_seg_cls (format {FORMAT})",
            found=found,
            remedy="train it with `jsc train`",
        )
    state = content["state_dict"]
    weights = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
    return Checkpoint(path, recipe, weights, int(content["epoch"]))
