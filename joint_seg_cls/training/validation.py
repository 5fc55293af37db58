"""What an epoch's validation has seen, scan by scan, in all processes that train together."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import final

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, multiclass_accuracy, multiclass_auroc

from joint_seg_cls.batch import Batch, Prediction, scan_of
from joint_seg_cls.metrics import dice
from joint_seg_cls.training.finite import gathered

Loss = Callable[[Prediction, Batch], Mapping[str, Tensor]]


@final
@dataclass
class ValidationScans:
    """Losses and metrics of whole validation scans. Neither the batch size nor the number of processes changes them.

    Args:
        dice: one value a scan with a reference; NaN where that is empty.
        diagnoses: class probabilities and disease of each scan with a known one.
        losses: each term of the loss, one value a scan that has its label.
        labelled: scans with a label for something that the network predicts.
        broken: scans for which the network or the loss returns NaN or infinity; they count for nothing else.
    """

    dice: list[float] = field(default_factory=list)
    diagnoses: list[tuple[list[float], int]] = field(default_factory=list)
    losses: list[tuple[str, float]] = field(default_factory=list)
    labelled: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, prediction: Prediction, batch: Batch, loss: Loss, *, lesion_threshold: float) -> None:
        """Add the predictions for a batch."""
        for number in range(len(batch.case)):
            own, scan = scan_of(prediction, batch, number)
            terms = {name: float(value) for name, value in loss(own, scan).items()}
            if not own.is_finite() or not all(map(math.isfinite, terms.values())):
                self.broken += scan.case
                continue
            known = {"segmentation": bool(scan.has_lesion_mask), "classification": bool(scan.has_disease)}
            self.losses += [(name, value) for name, value in terms.items() if known.get(name, True)]
            self._add_metrics(own, scan, lesion_threshold)

    def _add_metrics(self, prediction: Prediction, scan: Batch, lesion_threshold: float) -> None:
        probability, scores = prediction.lesion_probability(), prediction.disease_logits
        if has_relevant_label(prediction, scan):
            self.labelled += scan.case
        if probability is not None and bool(scan.has_lesion_mask):
            found, true = probability[0, 0] >= lesion_threshold, scan.lesion_mask[0, 0] > 0.5
            self.dice.append(dice(found.cpu().numpy(), true.cpu().numpy()))
        if scores is not None and bool(scan.has_disease):
            self.diagnoses.append((scores[0].float().softmax(dim=0).tolist(), int(scan.disease)))

    def of_all_processes(self) -> "ValidationScans":
        """Return the scans of all processes, each of which must call this."""
        whole = ValidationScans()
        for part in gathered(self):
            for each in fields(whole):
                getattr(whole, each.name).extend(getattr(part, each.name))
        return whole

    def numbers(self) -> dict[str, float]:
        """Return ``loss/<term>``, ``dice``, ``acc``, ``auc`` and ``score``, as far as the scans define them.

        A loss is the mean over the scans that have its label and is left out where none has; ``total`` is the mean over
        all scans, and is left out where none has a label for what the network predicts.
        """
        values: dict[str, list[float]] = {}
        for name, value in self.losses:
            values.setdefault(name, []).append(value)
        found = {f"loss/{name}": sum(of_term) / len(of_term) for name, of_term in values.items()}
        if not self.labelled:
            found.pop("loss/total", None)
        scores = []
        measured = [value for value in self.dice if not math.isnan(value)]
        if measured:
            found["dice"] = sum(measured) / len(measured)
            scores.append(found["dice"])
        if self.diagnoses:
            probability, disease = (torch.tensor(part) for part in zip(*self.diagnoses, strict=True))
            found["acc"] = float(multiclass_accuracy(probability, disease, probability.shape[1], average="micro"))
            area = _area_under_roc(probability, disease)
            if not math.isnan(area):
                found["auc"] = area
                scores.append(area)
        if scores:
            found["score"] = sum(scores) / len(scores)
        return found


def _area_under_roc(probability: Tensor, disease: Tensor) -> float:
    """Return the area of the last of two classes, or the mean over more; NaN where a class has no scan."""
    classes = probability.shape[1]
    if len(disease.unique()) < classes:
        return math.nan
    if classes == 2:
        return float(binary_auroc(probability[:, 1], disease))
    return float(multiclass_auroc(probability, disease, classes, average="macro"))


def has_relevant_label(prediction: Prediction, batch: Batch) -> bool:
    """Return whether a scan of the batch has a label for something that the network predicts."""
    lesions = prediction.lesion_logits is not None and bool(batch.has_lesion_mask.any())
    disease = prediction.disease_logits is not None and bool(batch.has_disease.any())
    return lesions or disease
