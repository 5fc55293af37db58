"""Classification loss: cross-entropy of the disease ([1], section 3.4)."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.losses.terms import ClassificationLoss, mean_over


@final
class CrossEntropyLoss(ClassificationLoss):
    r"""Mean over scans of the cross-entropy, [1] Eq. 12.

    .. math:: L_{cls} = -w_y \log p_y, \quad p = softmax(disease\_logits)

    y: true class; w: class weights, 1 by default. For two classes this is the binary cross-entropy that [1] prints.
    The weighted mean divides by the number of scans, not by the sum of their weights, which would cancel the weights
    in a batch of one or two scans.

    Args:
        class_weights: one positive weight per class; ``None`` for 1 each.

    Raises:
        ConfigError: weights that are not positive, or in ``forward`` a number of weights other than that of classes.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Sequence[float | int] | None = None) -> None:
        super().__init__()
        weights = None if class_weights is None else torch.tensor([float(weight) for weight in class_weights])
        if weights is not None and not bool((weights > 0).all()):
            raise ConfigError(
                "loss.classification.class_weights",
                expected="positive numbers",
                found=str(weights.tolist()),
                remedy="give one positive weight for each class, or null",
            )
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(
        self,
        disease_logits: Float[Tensor, "b classes"],
        disease: Int64[Tensor, " b"],
        labelled: Bool[Tensor, " b"],
    ) -> Float[Tensor, ""]:
        """Return the mean cross-entropy over the scans with a known disease."""
        per_scan = functional.cross_entropy(disease_logits, disease, reduction="none")
        if self.class_weights is not None:
            if len(self.class_weights) != disease_logits.shape[1]:
                raise ConfigError(
                    "loss.classification.class_weights",
                    expected=f"{disease_logits.shape[1]} weights, one for each class",
                    found=str(len(self.class_weights)),
                    remedy="give one positive weight for each class, or null",
                )
            per_scan = per_scan * self.class_weights.to(per_scan)[disease]
        return mean_over(per_scan, labelled)
