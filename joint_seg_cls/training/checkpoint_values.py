"""Checkpoints of tensors and plain values only, readable without executing code."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from joint_seg_cls.errors import ConfigError

#: Types of the numbers in a checkpoint.
DTYPES = frozenset(
    (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
    )
)
#: Exceptions of torch for values that it cannot write, or cannot read without executing code.
_REFUSALS = (pickle.PickleError, RuntimeError, AttributeError, TypeError, ValueError, ImportError, EOFError)


def plain_values(value: Any) -> Any:
    """Return ``value`` with NumPy numbers as Python numbers, and NumPy arrays as tensors."""
    if type(value) is dict:
        return {plain_values(key): plain_values(child) for key, child in value.items()}
    if type(value) is list:
        return [plain_values(child) for child in value]
    if type(value) is tuple:
        return tuple(plain_values(child) for child in value)
    if isinstance(value, np.bool_ | np.number | np.str_ | np.bytes_) and value.dtype.kind != "m":
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.dtype != np.longdouble:
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))
    return value


def refuse_unreadable(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Refuse a checkpoint at ``path`` that cannot be read without executing code.

    A checkpoint of known types is not read back, since reading all tensors takes longer than writing them.

    Raises:
        ConfigError: the state of a callback, or another entry, cannot be read.
    """
    if is_plain(checkpoint):
        return
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _REFUSALS as error:
        raise unwritable(checkpoint) or error from None


def is_plain(value: Any) -> bool:
    """Return whether ``value`` has only types that torch is known to read without executing code."""
    try:
        return _is_plain(value)
    except RecursionError:
        return False


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind in (Tensor, nn.Parameter):
        is_common = value.layout == torch.strided and value.dtype in DTYPES and value.device.type in ("cpu", "cuda")
        return is_common and not vars(value)
    if kind in (dict, OrderedDict):
        inner = [*value.keys(), *value.values(), *getattr(value, "__dict__", {}).values()]  # a state dict has metadata
        return all(map(_is_plain, inner))
    if kind in (list, tuple):
        return all(map(_is_plain, value))
    return value is None or kind in (bool, int, float, str)


def unwritable(checkpoint: Mapping[str, Any]) -> ConfigError | None:
    """Return the error for the first entry that cannot be written and read; None if there is none."""
    states = checkpoint.get("callbacks", {})
    entries = {f"the state of the callback {name}": state for name, state in states.items()}
    entries |= {f"the checkpoint's entry {name}": value for name, value in checkpoint.items() if name != "callbacks"}
    for name, value in entries.items():
        if (reason := _reason(value)) is not None:
            return ConfigError(
                name,
                expected="tensors, plain numbers, text, lists and dicts",
                found=reason,
                remedy="return such values from its state_dict(); the checkpoint of the previous epoch is kept",
            )
    return None


def _reason(value: Any) -> str | None:
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except _REFUSALS as error:
        return _kinds(value) or f"one that torch cannot write ({type(error).__name__})"
    return None


def _kinds(value: Any) -> str:
    """Return the names of the types in ``value`` that are not plain."""
    if isinstance(value, Mapping):
        return ", ".join(dict.fromkeys(kind for child in [*value, *value.values()] if (kind := _kinds(child))))
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(dict.fromkeys(kind for child in value if (kind := _kinds(child))))
    is_plain = (
        value is None or type(value) in (bool, int, float, complex, str, bytes) or isinstance(value, torch.Tensor)
    )
    return "" if is_plain else f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
