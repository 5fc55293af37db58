"""The joint loss: the weighted sum of both tasks' losses and the cross-task loss ([1], section 3.4)."""

from typing import Any, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.losses.classification import CrossEntropyLoss
from joint_seg_cls.losses.cross_task import CrossTaskLoss
from joint_seg_cls.losses.segmentation import DiceLoss
from joint_seg_cls.losses.terms import ClassificationLoss, ConsistencyLoss, SegmentationLoss, attached_zero


@final
class JointLoss(nn.Module):
    r"""Segmentation, classification and cross-task loss, [1] Eq. 14.

    .. math:: L = \beta_1 L_{seg} + \beta_2 L_{cls} + \beta_3 L_{cross}

    beta: 1, 0.8, 1. Each term is the mean over the scans that have its label. Without any, or if a variant lacks the
    outputs of a term, the term is an exact 0 attached to the graph. Everything is computed in float32
    (float64 if the prediction is), under autocast too.
    Departs from [1]: the cross-task term uses the location maps of the true class in training, and of the predicted
    class otherwise or if the disease is unknown (see ``CrossTaskLoss``). The cross-task term includes scans without a
    mask, since both its sides are predictions.

    Args:
        segmentation: ``DiceLoss`` by default.
        classification: ``CrossEntropyLoss`` by default.
        cross_task: ``CrossTaskLoss`` by default; ``NoCrossTaskLoss`` leaves it out.
        segmentation_weight: beta 1.
        classification_weight: beta 2.
        cross_task_weight: beta 3.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(
        self,
        segmentation: SegmentationLoss | None = None,
        classification: ClassificationLoss | None = None,
        cross_task: ConsistencyLoss | None = None,
        *,
        segmentation_weight: float | int = 1.0,
        classification_weight: float | int = 0.8,
        cross_task_weight: float | int = 1.0,
    ) -> None:
        super().__init__()
        self.segmentation = segmentation or DiceLoss()
        self.classification = classification or CrossEntropyLoss()
        self.cross_task = cross_task or CrossTaskLoss()
        self.segmentation_weight = segmentation_weight
        self.classification_weight = classification_weight
        self.cross_task_weight = cross_task_weight

    def forward(self, prediction: Prediction, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the unweighted ``segmentation``, ``classification`` and ``cross_task``, and the weighted ``total``."""
        with torch.autocast(batch.image.device.type, enabled=False):
            prediction = _full_precision(prediction)
            segmentation = self._segmentation(prediction, batch)
            classification = self._classification(prediction, batch)
            cross_task = self._cross_task(prediction, batch)
            total = (
                self.segmentation_weight * segmentation
                + self.classification_weight * classification
                + self.cross_task_weight * cross_task
            )
        return {
            "segmentation": segmentation,
            "classification": classification,
            "cross_task": cross_task,
            "total": total,
        }

    def _segmentation(self, prediction: Prediction, batch: Batch) -> Tensor:
        if prediction.lesion_logits is None:
            return _zero(prediction)
        logits = prediction.lesion_logits
        return self.segmentation(logits, batch.lesion_mask.to(logits.dtype), batch.has_lesion_mask)

    def _classification(self, prediction: Prediction, batch: Batch) -> Tensor:
        if prediction.disease_logits is None:
            return _zero(prediction)
        return self.classification(prediction.disease_logits, batch.disease, batch.has_disease)

    def _cross_task(self, prediction: Prediction, batch: Batch) -> Tensor:
        if prediction.scale_logits is None or prediction.location_maps is None:
            return _zero(prediction)
        shown_class = self._shown_class(prediction, batch)
        return self.cross_task(prediction.scale_logits, prediction.location_maps, shown_class, batch.has_disease)

    def _shown_class(self, prediction: Prediction, batch: Batch) -> Int64[Tensor, " b"]:
        if prediction.disease_logits is None:
            return batch.disease
        predicted = prediction.disease_logits.argmax(dim=1)
        return torch.where(batch.has_disease, batch.disease, predicted) if self.training else predicted


def _full_precision(prediction: Prediction) -> Prediction:
    def full(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(full, value))
        return None if value is None else value.to(torch.promote_types(value.dtype, torch.float32))

    return Prediction(*map(full, prediction))


def _zero(prediction: Prediction) -> Tensor:
    return attached_zero(prediction.lesion_logits, prediction.disease_logits)
