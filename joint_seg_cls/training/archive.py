"""Safe reading of checkpoint files: no code is executed, and memory is limited by the file size."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from joint_seg_cls.errors import CheckpointError, reason_of
from joint_seg_cls.training.checkpoint_values import DTYPES

#: Exceptions of torch for damaged or forged files.
_OF_A_DAMAGED_FILE = (
    pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError,
    AttributeError, AssertionError, ArithmeticError, MemoryError,
)  # fmt: skip


def read_archive(path: Path) -> dict[str, Any]:
    """Return the tensors and plain values of a file that ``torch.save`` wrote.

    Raises:
        CheckpointError: the file is damaged, holds code, or declares more data than its size.
    """
    try:
        _refuse_bomb(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about an unusual pickle protocol, which is then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
        if type(content) is not dict:
            raise TypeError(f"a {type(content).__name__} instead of a mapping")
    except _OF_A_DAMAGED_FILE as error:
        raise CheckpointError(
            path,
            expected="a checkpoint of tensors and plain values",
            found=f"a damaged file, or one with code in it ({reason_of(error, 120)})",
            remedy="copy it again, or delete it and train again with this program",
        ) from error
    return content


def tensors_of(state: object, path: Path, *, prefix: str) -> dict[str, Tensor]:
    """Return the tensors of a state dict whose names start with ``prefix``, which is removed.

    Raises:
        CheckpointError: it is not a mapping of names to tensors; a tensor is sparse, quantised or without memory, or
            its shape declares more values than the file holds.
    """
    if not isinstance(state, dict):
        raise _refusal(path, "weights (state_dict) by their names", "none" if state is None else type(state).__name__)
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if type(name) is not str:
            raise _refusal(path, "weights (state_dict) by their names", f"a name of type {type(name).__name__}")
        if not name.startswith(prefix):
            continue
        if type(value) not in (Tensor, nn.Parameter):
            raise _refusal(path, f"a tensor as weight {_short(name)}", f"a value of type {type(value).__name__}")
        if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in DTYPES:
            found = f"one of layout {value.layout}, type {value.dtype} and device {value.device.type}"
            raise _refusal(path, f"an ordinary tensor as weight {_short(name)}", found)
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            found = f"a shape of {tuple(value.shape)} on fewer values"
            raise _refusal(path, f"all values of weight {_short(name)} in the file", found)
        tensors[name.removeprefix(prefix)] = Tensor.detach(value)
    if sum(value.numel() * value.element_size() for value in tensors.values()) > 4 * path.stat().st_size:
        raise _refusal(path, "all values of all weights in the file", "many weights that share the same few values")
    return tensors


def _refuse_bomb(path: Path) -> None:
    """Refuse a compressed file, or one that declares more data than its size; torch does not compress."""
    if not zipfile.is_zipfile(path):  # torch writes ZIP files since version 1.6
        raise ValueError("no archive of torch")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("a compressed archive, which torch does not write")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("an archive that declares more than its size")


def _refusal(path: Path, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        path, expected=expected, found=found, remedy="copy it again, or train again with this program"
    )


def _short(name: str) -> str:
    return ascii(name[:80])[1:-1]
