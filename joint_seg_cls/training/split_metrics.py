"""Losses and metrics of one split, computed per scan over all training processes."""

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection, SumMetric

from joint_seg_cls.batch import Batch, Prediction, scan_of

Loss = Callable[[Prediction, Batch], Mapping[str, Tensor]]
#: The metrics whose mean selects the best checkpoint.
_SCORE = ("dice", "auc")


@final
class SplitMetrics(nn.Module):
    """Losses and metrics of whole scans, independent of batch size and number of processes.

    Args:
        metrics: takes a prediction and its batch; cloned.
        prefix: prefix of the logged names, such as ``val/``.

    Attributes:
        broken: scans of this process with a non-finite output or loss; they are not counted.
    """

    def __init__(self, metrics: MetricCollection, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self.metrics = metrics.clone(prefix=prefix)
        self.broken: list[str] = []
        self._labelled = SumMetric()
        self._losses: dict[str, MeanMetric] = {}

    @property
    def names(self) -> set[str]:
        """Names of all metrics that an epoch may define, without losses."""
        return {*map(str, self.metrics.keys()), f"{self.prefix}score"}

    def update(self, prediction: Prediction, batch: Batch, loss: Loss) -> None:
        """Add the scans of a batch. The loss must return the same terms for each scan."""
        for number in range(len(batch.case)):
            own, scan = scan_of(prediction, batch, number)
            terms = loss(own, scan)
            if not own.is_finite() or not all(bool(value.isfinite()) for value in terms.values()):
                self.broken += scan.case
                continue
            has_mask, has_disease = bool(scan.has_lesion_mask), bool(scan.has_disease)
            counts = {"segmentation": has_mask, "classification": has_disease}
            for name, value in terms.items():
                if name not in self._losses:
                    self._losses[name] = MeanMetric().to(value.device)
                self._losses[name].update(value.detach(), weight=float(counts.get(name, True)))
            has_relevant_label = (own.lesion_logits is not None and has_mask) or (
                own.disease_logits is not None and has_disease
            )
            self._labelled.update(float(has_relevant_label))
            self.metrics.update(own, scan)

    def compute(self) -> dict[str, Tensor]:
        """Return ``loss/<term>``, the metrics and ``score`` with the prefix, without undefined ones.

        A loss is the mean over the scans with its label; ``total`` is the mean over all scans, and undefined if no scan
        has a label for an output of the network. ``score`` is the mean of ``dice`` and ``auc``, or the one that is
        defined. Must be called in all processes.
        """
        found = {f"{self.prefix}loss/{name}": self._losses[name].compute() for name in sorted(self._losses)}
        if not self._labelled.compute():
            found.pop(f"{self.prefix}loss/total", None)
        found |= self.metrics.compute()
        defined = {name: value for name, value in found.items() if not value.isnan()}
        scores = [defined[name] for name in (self.prefix + each for each in _SCORE) if name in defined]
        return defined | ({f"{self.prefix}score": torch.stack(scores).mean()} if scores else {})

    def reset(self) -> None:
        """Clear all scans."""
        self.broken = []
        for metric in (self.metrics, self._labelled, *self._losses.values()):
            metric.reset()
