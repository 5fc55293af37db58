"""Tasks of a network: declared, or inferred from its prediction."""

from collections.abc import Sequence

import torch
from torch import nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ConfigError, reason_of

#: Tasks that a network may declare in its attribute ``tasks``.
TASKS = frozenset({"lesions", "disease"})


def declared_tasks(network: nn.Module) -> frozenset[str] | None:
    """Return the tasks in the attribute ``tasks`` of a network, such as ``("lesions",)``; None if it has none.

    Raises:
        ConfigError: the attribute contains anything but ``lesions`` and ``disease``.
    """
    own = getattr(network, "tasks", None)
    if own is None:
        return None
    names = frozenset([own] if isinstance(own, str) else own)
    if not names or not names <= TASKS:
        raise ConfigError(
            f"{type(network).__name__}.tasks",
            expected="lesions, disease or both",
            found=", ".join(map(str, names)) or "neither",
            remedy=f'declare tasks = ("lesions",), ("disease",) or both in {type(network).__name__}',
        )
    return names


def tasks_of(network: nn.Module, in_channels: int, image_size: Sequence[int]) -> frozenset[str]:
    """Return the tasks of a network.

    These are the tasks that it declares (:func:`declared_tasks`) or, without the attribute, those whose field
    of the :class:`~joint_seg_cls.batch.Prediction` it returns: ``lesion_logits`` or ``disease_logits``.

    Args:
        network: on the meta device, so that no time or memory is needed.

    Raises:
        ConfigError: the declaration or the output is invalid, or the network cannot run on the meta device.
    """
    if (declared := declared_tasks(network)) is not None:
        return declared
    name, is_training = type(network).__name__, network.training
    try:
        with torch.no_grad():
            prediction = network.eval()(torch.zeros(1, in_channels, *image_size, device="meta"))
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"network {name}",
            expected="an attribute tasks, or a forward pass that can be traced on torch's meta device",
            found=reason_of(error),
            remedy=f'declare tasks = ("lesions",), ("disease",) or both in {name}, or correct its forward',
        ) from error
    finally:
        network.train(is_training)
    if not isinstance(prediction, Prediction):
        raise ConfigError(
            f"network {name}",
            expected="a joint_seg_cls.batch.Prediction from its forward pass",
            found=type(prediction).__name__,
            remedy="return Prediction(lesion_logits=...), Prediction(disease_logits=...) or both; "
            "networks.SegmentationBaseline and ClassificationBaseline do it for networks that return one tensor",
        )
    fields = {"lesions": prediction.lesion_logits, "disease": prediction.disease_logits}
    return frozenset(task for task, field in fields.items() if field is not None)
