"""Applying a network to one prepared image, and resampling its findings to the scan's own grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from joint_seg_cls.batch import VIEWS, Prediction, Views
from joint_seg_cls.errors import ConfigError, ScanError
from joint_seg_cls.lesions import without_small
from joint_seg_cls.networks import TASKS, declared_tasks, summed_map
from joint_seg_cls.scan import Geometry

#: Axis of a batch (b c x y z) of the left-right direction.
_LEFT_RIGHT = 2
#: Two, because torch sends a batch of one to a slower convolution on CPUs.
_PATCHES_AT_ONCE = 2


@final
@dataclass(frozen=True, eq=False)
class Findings:
    r"""Results of the network for one scan, on one grid. A field that the variant does not produce is None.

    lesion_probability: in [0, 1].
    lesions: voxels with a probability at or above the threshold.
    location_map: contribution of each voxel to the score of the predicted class, :math:`\sum_i V_i^c` (Eq. 10, linear).
    disease_probability: one value per class, summing to 1.
    """

    lesion_probability: Float32[np.ndarray, "x y z"] | None
    lesions: Bool[np.ndarray, "x y z"] | None
    location_map: Float32[np.ndarray, "x y z"] | None
    disease_probability: Float[np.ndarray, " classes"] | None


@final
class Predictor:
    """Apply ``network`` to single images in model space.

    Args:
        network: returns a :class:`~joint_seg_cls.batch.Prediction`.
        lesion_threshold: probability at or above which a voxel is a lesion.
        device: device of the computation.
        views: ``one``, or ``flips`` to average over the image and its left-right mirror image. On a CPU a batch of two
            takes no longer than one image.
        least_lesion_mm3: smaller lesions are removed from the mask in native space.
        window: voxels of a patch, for a network whose segmentation was trained on patches. Half-overlapping patches are
            averaged with Gaussian weights. The disease is predicted from the whole image.
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
    ) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self.lesion_threshold = lesion_threshold
        self.views: Views = views
        self.least_lesion_mm3 = least_lesion_mm3
        self.window = window

    @property
    def network(self) -> nn.Module:
        """The network, in evaluation mode."""
        return self._network

    def __call__(self, image: Float32[np.ndarray, "c x y z"], scan: str | Path = "image") -> Findings:
        """Return the findings in model space.

        Args:
            image: the prepared image.
            scan: name of the scan, for messages.

        Raises:
            ScanError: an output is NaN or infinite.
        """
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
            lesion = prediction.lesion_probability()
            probability = None if lesion is None else _averaged(lesion[:, 0]).cpu().numpy()
            scores = prediction.disease_logits
            disease = None if scores is None else scores.double().softmax(dim=1).mean(dim=0).cpu().numpy()
            location = _location(prediction, one.shape[2:], disease)
        lesions = None if probability is None else probability >= self.lesion_threshold
        return Findings(probability, lesions, location, disease)

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
        """Return findings on the scan's own grid: maps are resampled linearly, then the mask is thresholded."""
        probability, lesions = _to_native(findings.lesion_probability, geometry), None
        if probability is not None:
            least_voxels = self.least_lesion_mm3 / 1000 / geometry.native.voxel_ml
            lesions = without_small(probability >= self.lesion_threshold, least_voxels)
        return Findings(probability, lesions, _to_native(findings.location_map, geometry), findings.disease_probability)


def require_views(value: object) -> Views:
    """Return ``value`` if it is one of :data:`~joint_seg_cls.batch.VIEWS`.

    Raises:
        ConfigError: it is not.
    """
    for known in VIEWS:
        if value == known:
            return known
    expected = " or ".join(VIEWS)
    raise ConfigError("views", expected=expected, found=str(value), remedy="correct views=")


def _location(
    prediction: Prediction, size: torch.Size, disease: Float[np.ndarray, " classes"] | None
) -> Float32[np.ndarray, "x y z"] | None:
    if prediction.location_maps is None or disease is None:
        return None
    maps = summed_map(prediction.location_maps, int(disease.argmax()), size)
    return _averaged(maps).cpu().numpy()


def _averaged(views: Float[Tensor, "views x y z"]) -> Float[Tensor, "x y z"]:
    """Return the map of the image, or its mean with the mirrored map of the mirror image."""
    return views[0] if len(views) == 1 else (views[0] + views[1].flip(0)) / 2


def _to_native(volume: Float32[np.ndarray, "x y z"] | None, geometry: Geometry) -> Float32[np.ndarray, "X Y Z"] | None:
    return None if volume is None else geometry.to_native(volume, linear=True).astype(np.float32)
