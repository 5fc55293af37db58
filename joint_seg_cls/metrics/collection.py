"""Metrics of both tasks over the scans of a split, as torchmetrics; independent of the number of processes."""

import math
from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.metrics.disease import Disease, Probability, accuracy, auc
from joint_seg_cls.metrics.voxel_wise import Mask, dice


@final
class MeanOverScans(Metric):
    """Mean over scans of a metric of two lesion masks, such as ``dice`` or ``lambda p, r: lesion_wise(p, r).f1``.

    Scans without a reference mask, and scans for which ``of`` is NaN, are excluded; without any scan the mean is NaN.
    torchmetrics' overlap metrics pool the voxels of a batch or treat empty masks differently.

    Args:
        of: takes the predicted and the reference mask of one scan, each (x, y, z).
        lesion_threshold: probability at or above which a voxel is a lesion.
    """

    full_state_update = False
    total: Tensor
    scans: Tensor

    def __init__(self, of: Callable[[Mask, Mask], float], lesion_threshold: float) -> None:
        super().__init__()
        self.of = of
        self.lesion_threshold = lesion_threshold
        self.add_state("total", torch.tensor(0.0), "sum")
        self.add_state("scans", torch.tensor(0), "sum")

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Add the scans of a batch."""
        probability = prediction.lesion_probability()
        if probability is None:
            return
        predicted, reference = probability[:, 0] >= self.lesion_threshold, batch.lesion_mask[:, 0] > 0.5
        for number in batch.has_lesion_mask.nonzero()[:, 0].tolist():
            value = self.of(predicted[number], reference[number])
            if not math.isnan(value):
                self.total += value
                self.scans += 1

    def compute(self) -> Float[Tensor, ""]:
        """Return the mean over the scans of all processes."""
        return self.total / self.scans


@final
class DiseaseOverScans(Metric):
    """A metric of the class probabilities and diseases of all scans, such as ``auc``; NaN if undefined.

    torchmetrics' ``MulticlassAUROC`` and ``MulticlassAccuracy`` are 0 if a class has no scan or no scan has a label,
    and hang if one of several processes has no labelled scan.

    Args:
        of: takes the probabilities, one row per scan, and the diseases.
        classes: number of diseases.
    """

    full_state_update = False
    rows: list[Tensor] | Tensor

    def __init__(self, of: Callable[[Probability, Disease], float], classes: int) -> None:
        super().__init__()
        self.of = of
        self.classes = classes
        # One-dimensional floats: torchmetrics substitutes such a tensor for a process without scans.
        self.add_state("rows", [], "cat")

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Add the scans of a batch that have a known disease."""
        known = batch.has_disease
        if prediction.disease_logits is not None and bool(known.any()):
            probability = prediction.disease_logits[known].float().softmax(dim=1)
            rows = torch.cat([probability, batch.disease[known, None].to(probability)], dim=1)
            assert isinstance(self.rows, list)
            self.rows.append(rows.flatten())

    def compute(self) -> Float[Tensor, ""]:
        """Return the metric over the scans of all processes."""
        flat = torch.cat([torch.empty(0, device=self.device), *self.rows]) if isinstance(self.rows, list) else self.rows
        rows = flat.reshape(-1, self.classes + 1)
        return torch.tensor(self.of(rows[:, :-1], rows[:, -1].long()), device=self.device)


def task_metrics(*, lesion_threshold: float, classes: int) -> MetricCollection:
    """Return the metrics that are logged per epoch. Their ``update`` takes a ``Prediction`` and its ``Batch``.

    ``dice``: :func:`dice`, mean over scans with a non-empty reference; ``acc``, ``auc``: :func:`accuracy`,
    :func:`auc`. Add further metrics here.
    """
    return MetricCollection(
        {
            "dice": MeanOverScans(dice, lesion_threshold),
            "acc": DiseaseOverScans(accuracy, classes),
            "auc": DiseaseOverScans(auc, classes),
        },
        compute_groups=False,  # groups are formed at the first update, which may differ between processes
    )
