"""Networks on torch's meta device: their size and the shapes of their outputs, without allocating weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ConfigError

#: Maximum number of modules, ten times that of MONAI's largest network.
MOST_MODULES = 12_000
#: Maximum size of an array between two layers: 16 GiB in single precision.
MOST_BETWEEN_LAYERS = 2**32
#: Maximum length of schedules, such as drop rates, that networks read while they are built.
_MOST_STEPS = 4096


@contextmanager
def on_meta_device(most_values: int) -> Iterator[None]:
    """Build networks in the block on torch's meta device, without memory, and refuse networks that are too large.

    Args:
        most_values: maximum number of values of all parameters and buffers.

    Raises:
        ConfigError: in the block, if a network has more values, or more than :data:`MOST_MODULES` modules.
    """
    values = modules = 0

    def count_values(module: nn.Module, name: str, value: Tensor | None) -> None:
        nonlocal values
        del module, name
        values += value.numel() if isinstance(value, Tensor) else 0
        if values > most_values:
            raise _too_large(f"at most {most_values:,} weights", "more")

    def count_modules(module: nn.Module, name: str, part: nn.Module | None) -> None:
        nonlocal modules
        del module, name, part
        modules += 1
        if modules > MOST_MODULES:
            raise _too_large(f"at most {MOST_MODULES:,} modules", "more")

    hooks = [
        register_module_parameter_registration_hook(count_values),
        register_module_buffer_registration_hook(count_values),
        register_module_module_registration_hook(count_modules),
    ]
    try:
        with torch.device("meta"), _LinspaceOnCpu():
            yield
    finally:
        for hook in hooks:
            hook.remove()


def prediction_shapes(network: nn.Module, modalities: int, size: Sequence[int]) -> dict[str, tuple[int, ...] | None]:
    """Return the shapes of the lesion and disease logits for one image.

    Args:
        network: built within :func:`on_meta_device`.

    Raises:
        ConfigError: an array between two layers has more than :data:`MOST_BETWEEN_LAYERS` values.
        InputError: raised by the network for an image that it does not accept.
    """
    image = torch.zeros(1, modalities, *size, device="meta")
    with torch.no_grad(), _SizeLimit(), torch.device("meta"):
        prediction: Prediction = network.eval()(image)
    found = {"lesion_logits": prediction.lesion_logits, "disease_logits": prediction.disease_logits}
    return {name: None if logits is None else tuple(logits.shape) for name, logits in found.items()}


@final
class _LinspaceOnCpu(TorchFunctionMode):
    """Allocate ``torch.linspace`` on the CPU, because networks read its values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            steps = kwargs.get("steps", args[2] if len(args) > 2 else 0)
            if steps > _MOST_STEPS:
                raise _too_large(f"at most {_MOST_STEPS:,} layers", f"{steps:,}")
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)


@final
class _SizeLimit(TorchDispatchMode):
    """Refuses operations whose result is too large."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor) and each.numel() > MOST_BETWEEN_LAYERS:
                raise _too_large(
                    f"at most {MOST_BETWEEN_LAYERS:,} values between two layers", f"an array of {tuple(each.shape)}"
                )
        return result


def _too_large(expected: str, found: str) -> ConfigError:
    return ConfigError("network", expected=expected, found=found, remedy="build a smaller network")
