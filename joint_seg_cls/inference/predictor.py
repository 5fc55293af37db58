"""Applying a network to one prepared image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Float32
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from joint_seg_cls.batch import Prediction, Views
from joint_seg_cls.errors import ScanError, require_choice
from joint_seg_cls.inference.findings import Findings, Samples, combined, on_native_grid
from joint_seg_cls.networks import TASKS, declared_tasks, memory_format
from joint_seg_cls.scan import Geometry

#: Axis of a batch (b c x y z) of the left-right direction.
_LEFT_RIGHT = 2
#: Two, because torch sends a batch of one to a slower convolution on CPUs.
_PATCHES_AT_ONCE = 2


@final
class Predictor:
    """Apply ``network`` to single images in model space.

    Args:
        lesion_threshold: probability at or above which a voxel is a lesion.
        views: ``one``, or ``flips`` to average over the image and its left-right mirror image. On a CPU a batch of two
            takes no longer than one image.
        least_lesion_mm3: smaller lesions are removed from the mask in native space.
        window: voxels of a patch, for a network whose segmentation was trained on patches. Half-overlapping patches are
            averaged with Gaussian weights. The disease is predicted from the whole image.
        temperature: of the class probabilities, see :mod:`joint_seg_cls.metrics.calibration`.
    """

    def __init__(
        self,
        network: nn.Module,
        lesion_threshold: float,
        device: str | torch.device = "cpu",
        *,
        views: Views = "one",
        least_lesion_mm3: float = 0.0,
        window: Sequence[int] | None = None,
        temperature: float = 1.0,
    ) -> None:
        placed: Any = network.to(device)
        self._network: nn.Module = placed.to(memory_format=memory_format(device)).eval()
        self._device = device
        self.lesion_threshold = lesion_threshold
        self.views: Views = views
        self.least_lesion_mm3 = least_lesion_mm3
        self.window = window
        self.temperature = temperature

    @property
    def network(self) -> nn.Module:
        """The network, in evaluation mode."""
        return self._network

    def __call__(self, image: Float32[np.ndarray, "c x y z"], scan: str | Path = "image") -> Findings:
        """Return the findings in model space.

        Raises:
            ScanError: an output is NaN or infinite.
        """
        return combined([self.samples(image, scan)], image.shape[1:], self.lesion_threshold)

    def samples(self, image: Float32[np.ndarray, "c x y z"], scan: str | Path = "image") -> Samples:
        """Return the network's outputs for each view; arguments and errors as in :meth:`__call__`."""
        with torch.inference_mode():
            one = torch.from_numpy(np.array(image)).unsqueeze(0).to(self._device)
            batch = one if self.views == "one" else torch.cat([one, one.flip(_LEFT_RIGHT)])
            prediction = self._predicted(batch)
            if not prediction.is_finite():
                raise ScanError(
                    scan,
                    expected="finite outputs of the network",
                    found="NaN or infinity",
                    remedy="check the scan with `jsc check`; if every scan fails, use another checkpoint=",
                )
            lesion, scores, maps = prediction.lesion_probability(), prediction.disease_logits, prediction.location_maps
            return Samples(
                None if lesion is None else _turned_back(lesion)[:, 0],
                None if scores is None else (scores.double() / self.temperature).softmax(dim=1),
                None if scores is None else scores.double().softmax(dim=1),
                None if maps is None else tuple(map(_turned_back, maps)),
            )

    def _predicted(self, batch: Float[Tensor, "views c x y z"]) -> Prediction:
        """Return the network's prediction, the lesion map from patches where there is a window."""
        if self.window is None:
            return self._network(batch)
        tasks = declared_tasks(self._network) or TASKS
        whole = self._network(batch) if "disease" in tasks else Prediction()
        if "lesions" not in tasks:
            return whole
        sides = [min(side, size) for side, size in zip(self.window, batch.shape[2:], strict=True)]
        logits = sliding_window_inference(
            batch, sides, _PATCHES_AT_ONCE, lambda patches: self._network(patches).lesion_logits, 0.5, "gaussian"
        )
        return whole._replace(lesion_logits=logits)

    def in_native_space(self, findings: Findings, geometry: Geometry) -> Findings:
        """Return findings on the scan's own grid, see :func:`~joint_seg_cls.inference.findings.on_native_grid`."""
        return on_native_grid(
            findings, geometry, lesion_threshold=self.lesion_threshold, least_lesion_mm3=self.least_lesion_mm3
        )


def require_views(value: object) -> Views:
    """Return ``value`` if it is one of :data:`~joint_seg_cls.batch.VIEWS`.

    Raises:
        ConfigError: it is another value.
    """
    require_choice("views", value, Views)
    return "flips" if value == "flips" else "one"


def _turned_back(views: Float[Tensor, "n _ _ _ _"]) -> Float[Tensor, "n _ _ _ _"]:
    """Return maps of the views in the orientation of the image: the second is of the mirror image."""
    return views if len(views) == 1 else torch.stack([views[0], views[1].flip(1)])
