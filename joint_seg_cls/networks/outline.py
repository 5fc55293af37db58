"""A network without memory for its weights: how large it is, and what it gives for an image of a size."""

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

#: Modules of which the largest network of MONAI has a tenth.
MOST_MODULES = 12_000
#: Values in the largest array between two layers: 16 GiB in single precision.
MOST_BETWEEN_LAYERS = 2**32
#: Values of the short schedules, such as drop rates, that networks read while they are built.
_MOST_STEPS = 4096


@contextmanager
def outlined(most_values: int) -> Iterator[None]:
    """Build networks in the block on torch's meta device, which allocates nothing, and stop one that grows too large.

    Args:
        most_values: how many values all parameters and buffers may have together.

    Raises:
        ConfigError: in the block, where a network has more values, or more than :data:`MOST_MODULES` modules.
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
        with torch.device("meta"), _Schedules():
            yield
    finally:
        for hook in hooks:
            hook.remove()


def prediction_shapes(network: nn.Module, modalities: int, size: Sequence[int]) -> dict[str, tuple[int, ...] | None]:
    """Return the shapes of the lesion and disease logits that an outlined network gives for one image.

    Args:
        network: built under :func:`outlined`.
        modalities: channels of the image.
        size: voxels along the image's axes.

    Raises:
        ConfigError: an array between two layers has more than :data:`MOST_BETWEEN_LAYERS` values.
        InputError: or whatever the network raises where it does not take such an image.
    """
    image = torch.zeros(1, modalities, *size, device="meta")
    with torch.no_grad(), _Watched(), torch.device("meta"):
        prediction: Prediction = network.eval()(image)
    found = {"lesion_logits": prediction.lesion_logits, "disease_logits": prediction.disease_logits}
    return {name: None if logits is None else tuple(logits.shape) for name, logits in found.items()}


@final
class _Schedules(TorchFunctionMode):
    """Give ``torch.linspace`` memory: networks read its values one by one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            steps = kwargs.get("steps", args[2] if len(args) > 2 else 0)
            if steps > _MOST_STEPS:
                raise _too_large(f"at most {_MOST_STEPS:,} layers", f"{steps:,}")
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)


@final
class _Watched(TorchDispatchMode):
    """Refuse an operation whose result is too large."""

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
