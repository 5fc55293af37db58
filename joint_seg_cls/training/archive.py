"""A checkpoint's file as plain values and tensors: nothing in it is executed, and no more allocated than it holds."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from joint_seg_cls.errors import CheckpointError

#: What torch raises while it reads a file that is damaged or was made to look like one of its own.
_OF_A_DAMAGED_FILE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    zipfile.BadZipFile,
)
_TYPES = frozenset(
    (
        torch.float16, torch.bfloat16, torch.float32, torch.float64,
        torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool,
    )
)  # fmt: skip


def read_archive(path: Path) -> dict[str, Any]:
    """Return what ``torch.save`` wrote to a file, as tensors and plain values.

    Raises:
        CheckpointError: the file is damaged, holds code, or claims more than its size.
    """
    try:
        _refuse_bomb(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an odd pickle protocol, which is then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
        if type(content) is not dict:
            raise TypeError(f"a {type(content).__name__} in place of a mapping")
    except _OF_A_DAMAGED_FILE as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            path,
            expected="a checkpoint of tensors and plain values",
            found=f"a damaged file, or one with code in it ({reason})",
            remedy="copy it again, or delete it and train again with this program",
        ) from error
    return content


def tensors_of(state: object, path: Path, *, prefix: str) -> dict[str, Tensor]:
    """Return what a state dict holds under ``prefix`` as ordinary tensors, each of which the file holds in full.

    The prefix is taken off the names.

    Raises:
        CheckpointError: it is no mapping of names to tensors; a tensor is sparse, quantised or without memory, or its
            shape claims more values than the file holds.
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
        if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in _TYPES:
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
    """Refuse what torch would unpack to more than the file's size; torch itself stores without compression."""
    if not zipfile.is_zipfile(path):  # as torch has written them since 1.6; what it reads besides is pickled alone
        raise ValueError("no archive of torch")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("a compressed archive, which torch does not write")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("an archive that claims more than its size")


def _refusal(path: Path, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        path, expected=expected, found=found, remedy="copy it again, or train again with this program"
    )


def _short(name: str) -> str:
    return ascii(name[:80])[1:-1]
