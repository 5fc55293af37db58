"""What an epoch's validation has seen, scan by scan, in all processes that train together."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, distributed

from joint_seg_cls.batch import Batch, Prediction, scan_of
from joint_seg_cls.metrics import auc, dice

Loss = Callable[[Prediction, Batch], Mapping[str, Tensor]]


@final
@dataclass
class ValidationScans:
    """Losses and metrics of whole validation scans. Neither the batch size nor the number of processes changes them.

    Args:
        dice: one value a scan with a reference; NaN where that is empty.
        diagnoses: class probabilities and disease of each scan with a known one.
        losses: each term of the loss, one value a scan that has its label.
    """

    dice: list[float] = field(default_factory=list)
    diagnoses: list[tuple[list[float], int]] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)

    def add(self, prediction: Prediction, batch: Batch, loss: Loss, *, lesion_threshold: float) -> None:
        """Take what the network says of a batch."""
        self._add_losses(prediction, batch, loss)
        if prediction.lesion_logits is not None:
            found = prediction.lesion_logits > math.log(lesion_threshold / (1 - lesion_threshold))
            pairs = zip(found, batch.lesion_mask > 0.5, batch.has_lesion_mask, strict=True)
            self.dice += [dice(mask[0].cpu().numpy(), true[0].cpu().numpy()) for mask, true, known in pairs if known]
        if prediction.disease_logits is not None:
            probability = prediction.disease_logits.float().softmax(dim=1)[batch.has_disease].tolist()
            self.diagnoses += zip(probability, batch.disease[batch.has_disease].tolist(), strict=True)

    def _add_losses(self, prediction: Prediction, batch: Batch, loss: Loss) -> None:
        labels = {"segmentation": batch.has_lesion_mask, "classification": batch.has_disease}
        for number in range(len(batch.case)):
            terms = loss(*scan_of(prediction, batch, number))
            for name, value in terms.items():
                values = self.losses.setdefault(name, [])
                if name not in labels or bool(labels[name][number]):
                    values.append(float(value))

    def of_all_processes(self) -> "ValidationScans":
        """Return the scans of all processes, each of which must call this."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return self
        own = self.dice, self.diagnoses, self.losses
        parts = [own] * distributed.get_world_size()
        distributed.all_gather_object(parts, own)
        whole = ValidationScans()
        for found, diagnoses, losses in parts:
            whole.dice += found
            whole.diagnoses += diagnoses
            for name, values in losses.items():
                whole.losses.setdefault(name, []).extend(values)
        return whole

    def numbers(self) -> dict[str, float]:
        """Return ``loss/<term>``, ``dice``, ``acc``, ``auc`` and ``score``, as far as the scans tell them.

        A loss is the mean over the scans that have its label, 0 if none has; ``total`` is the mean over all scans.
        """
        found = {f"loss/{name}": sum(values) / max(1, len(values)) for name, values in self.losses.items()}
        scores = []
        measured = [value for value in self.dice if not math.isnan(value)]
        if measured:
            found["dice"] = sum(measured) / len(measured)
            scores.append(found["dice"])
        if self.diagnoses:
            probability, disease = (torch.tensor(part) for part in zip(*self.diagnoses, strict=True))
            found["acc"] = float((probability.argmax(dim=1) == disease).float().mean())
            area = auc(probability.numpy(), disease.numpy())
            if not math.isnan(area):
                found["auc"] = area
                scores.append(area)
        if scores:
            found["score"] = sum(scores) / len(scores)
        return found
