"""Pictures of a few fixed cases during the training."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from lightning import Callback, LightningModule, Trainer

from joint_seg_cls.batch import Prediction
from joint_seg_cls.metrics import dice
from joint_seg_cls.networks import summed_map
from joint_seg_cls.pictures import case_row, most_lesion, on_black, spread
from joint_seg_cls.scan import PreparedCase
from joint_seg_cls.training.pseudonyms import Pseudonyms
from joint_seg_cls.training.tracking import Guard, PanelPicture, Tracker

PANEL = "panel"


@final
@dataclass(frozen=True)
class CaseOutputs:
    """Outputs of the network for one case, in model space; None for a missing output."""

    lesions: Bool[np.ndarray, "x y z"] | None
    location_map: Float[np.ndarray, "x y z"] | None
    disease_probability: Float[np.ndarray, " classes"] | None


def choose_cases(cases: Sequence[PreparedCase], names: Sequence[str], count: int) -> list[PreparedCase]:
    """Return ``count`` of the cases in ``names``: equally many per class, evenly spaced in alphabetical order."""
    wanted = set(names)
    kinds: dict[str, list[PreparedCase]] = {}
    for case in sorted((one for one in cases if one.case in wanted), key=lambda one: one.case):
        kinds.setdefault(case.disease or "", []).append(case)
    shares = dict.fromkeys(sorted(kinds), 0)
    while sum(shares.values()) < min(count, sum(map(len, kinds.values()))):
        open_kinds = [kind for kind in shares if shares[kind] < len(kinds[kind])]
        shares[min(open_kinds, key=lambda kind: shares[kind])] += 1
    turns = zip_longest(*(_spaced(kinds[kind], share) for kind, share in shares.items()))
    return [case for turn in turns for case in turn if case is not None]


@final
class Panel(Callback):
    """Draw image, reference, prediction and location map of fixed cases every few epochs and after the last.

    The training's random state is not used, and a failure does not stop the training.

    Args:
        part: their part of the data, for captions.
        every_epochs: interval; 0 to draw only after the last epoch.
    """

    def __init__(
        self,
        tracker: Tracker,
        cases: Sequence[PreparedCase],
        part: str,
        pseudonyms: Pseudonyms,
        classes: Sequence[str],
        *,
        lesion_threshold: float,
        every_epochs: int,
    ) -> None:
        self._tracker = tracker
        self._cases = cases
        self._part = part
        self._pseudonyms = pseudonyms
        self._classes = classes
        self._threshold = lesion_threshold
        self._every = every_epochs
        self._guard = Guard("drawing the panel")
        self._drawn_at = -1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw after every ``every_epochs``."""
        if self._every > 0 and (trainer.current_epoch + 1) % self._every == 0:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the trained network."""
        self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        if not trainer.is_global_zero or step == self._drawn_at:
            return
        self._drawn_at = step
        was_training = pl_module.training
        pl_module.eval()
        try:
            self._guard.call(lambda: self._log(trainer, pl_module, step))
        finally:
            pl_module.train(was_training)

    def _log(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        pictures = []
        for case in self._cases:
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                image = torch.from_numpy(np.array(case.image())).unsqueeze(0)
                prediction: Prediction = pl_module(image.to(pl_module.device))
            pictures.append(self._picture(case, _outputs(prediction, image.shape[2:], self._threshold)))
        self._tracker.log_pictures(PANEL, pictures, step)

    def _picture(self, case: PreparedCase, shown: CaseOutputs) -> PanelPicture:
        mask = case.lesion_mask()
        reference = None if mask is None else np.asarray(mask, dtype=bool)
        image = on_black(np.asarray(case.image()[0], dtype=np.float32), np.asarray(case.brain_mask(), dtype=bool))
        shape: tuple[int, ...] = image.shape
        (cut,) = most_lesion(reference, 1) if reference is not None and reference.any() else spread(shape, 1)
        pixels = case_row(
            cut, image, reference, shown.lesions, shown.location_map, spacing_mm=case.geometry.model.spacing_mm
        )
        name = self._pseudonyms[case.case]
        return PanelPicture(name, pixels, f"{name} ({self._part}): {self._caption(case, reference, shown)}")

    def _caption(self, case: PreparedCase, reference: Bool[np.ndarray, "x y z"] | None, shown: CaseOutputs) -> str:
        columns = ["image", reference is not None and "reference", shown.lesions is not None and "prediction"]
        columns.append(shown.location_map is not None and "location map")
        parts = [" | ".join(column for column in columns if column), case.disease or "disease unknown"]
        if shown.disease_probability is not None:
            probability = shown.disease_probability
            one = -1 if len(self._classes) == 2 else int(probability.argmax())  # of several classes the likeliest
            parts.append(f"p({self._classes[one]}) = {probability[one]:.2f}")
        if reference is not None and shown.lesions is not None:
            parts.append(f"DSC {dice(shown.lesions, reference):.2f}")
        return "; ".join(parts)


def _outputs(prediction: Prediction, size: torch.Size, threshold: float) -> CaseOutputs:
    lesion, scores = prediction.lesion_probability(), prediction.disease_logits
    lesions = None if lesion is None else (lesion[0, 0] >= threshold).cpu().numpy()
    if scores is None:
        return CaseOutputs(lesions, None, None)
    probability = scores[0].double().softmax(dim=0).cpu().numpy()
    maps = prediction.location_maps
    location = None if maps is None else summed_map(maps, int(probability.argmax()), size)[0].cpu().numpy()
    return CaseOutputs(lesions, location, probability)


def _spaced(cases: Sequence[PreparedCase], count: int) -> list[PreparedCase]:
    return [cases[index] for index in np.linspace(0, len(cases) - 1, count).round().astype(int)]
