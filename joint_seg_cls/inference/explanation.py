"""Explanation of a diagnosis by maps and by deletion of lesions, and an audit of both.

* share of the positive part of the location map ([1] Eq. 10) and of Grad-CAM [2] that lies in lesions, and its ratio to
  the lesions' share of the brain (``enrichment``; 1 if the map ignores lesions);
* deletion: fall of the predicted class's probability when lesions are filled with the tissue around them, beside the
  fall when the mirror image of the lesions is filled (control);
* parameter randomisation [3]: similarity of a map to that of the same class after the classifier's weights were
  shuffled; a map that stays similar does not depend on what the classifier has learned.

[1] https://doi.org/10.3389/fnins.2024.1351387
[2] https://doi.org/10.1109/ICCV.2017.74
[3] Adebayo et al. 2018, Sanity checks for saliency maps, https://arxiv.org/abs/1810.03292
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from joint_seg_cls.atomic_write import nan_as_null
from joint_seg_cls.inference.filling import filled, mirrored
from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.inference.map_measures import share_in, similarity
from joint_seg_cls.networks import ResidualClassifier, summed_map

#: Times that the classifier's weights are shuffled.
SHUFFLES = 3


@final
@dataclass(frozen=True)
class MapAudit:
    """The audit of one map. Undefined numbers are NaN.

    Args:
        lesion_share: share of the positive part that lies in lesions.
        enrichment: ``lesion_share`` over the lesions' share of the brain.
        shuffled_similarity: Spearman's rank correlation, over the brain, with the map of the same class after the
            classifier's weights were shuffled; mean over :data:`SHUFFLES`.
    """

    lesion_share: float
    enrichment: float
    shuffled_similarity: float


@final
@dataclass(frozen=True)
class Deletion:
    """Probability of the predicted class, with the scan as it is, with lesions filled, and with the control filled.

    The volumes are those of the lesions and of their mirror image; it is smaller where it meets lesions or leaves the
    brain. Undefined numbers are NaN.
    """

    probability: float
    lesions_filled: float
    control_filled: float
    lesions_ml: float
    control_ml: float

    @property
    def fall(self) -> float:
        """Fall of the probability when lesions are filled."""
        return self.probability - self.lesions_filled

    @property
    def control_fall(self) -> float:
        """Fall of the probability when the control is filled."""
        return self.probability - self.control_filled


@final
@dataclass(frozen=True, eq=False)
class Explanation:
    """The audited explanation of the diagnosis of one scan.

    Args:
        location_map: audit of the map of Eq. 10.
        grad_cam: audit of Grad-CAM.
        deletion: effect of the lesions on the probability.
        cam: Grad-CAM in model space.
    """

    location_map: MapAudit
    grad_cam: MapAudit
    deletion: Deletion
    cam: Float32[np.ndarray, "x y z"]
    seconds: float

    def record(self) -> dict[str, Any]:
        """Return the numbers as plain values; an undefined number is None."""
        falls = {"fall": self.deletion.fall, "control_fall": self.deletion.control_fall}
        parts = {
            "location_map": asdict(self.location_map),
            "grad_cam": asdict(self.grad_cam),
            "deletion": asdict(self.deletion) | falls,
        }
        return nan_as_null(parts) | {"seconds": self.seconds}


def explain(
    predict: Callable[[Float32[np.ndarray, "c x y z"]], Findings],
    network: nn.Module,
    image: Float32[np.ndarray, "c x y z"],
    found: Findings,
    *,
    brain: Bool[np.ndarray, "x y z"],
    lesions: Bool[np.ndarray, "x y z"],
    voxel_ml: float,
    seed: int = 0,
) -> Explanation | None:
    """Return the audited explanation of a diagnosis; None if the network has no location maps.

    Args:
        predict: gives the findings for an image in model space.
        network: gives the maps; of an ensemble, one member.
        found: the findings for ``image``.
        lesions: mask in model space, of the reference or of the prediction.
        seed: of the noise in filled lesions and of the shuffled weights.
    """
    if found.disease_probability is None or found.location_map is None or _classifier(network) is None:
        return None
    start = time.perf_counter()
    predicted = int(found.disease_probability.argmax())
    location, cam = maps_of(network, image, predicted)
    similar = []
    for draw in range(SHUFFLES):
        other = maps_of(shuffled(network, torch.Generator().manual_seed(seed + draw)), image, predicted)
        similar.append([similarity(*pair, brain) for pair in zip((location, cam), other, strict=True)])
    of_location, of_cam = np.mean(similar, axis=0).tolist()
    deletion = _delete(predict, image, found.disease_probability, lesions, brain, voxel_ml, seed)
    seconds = round(time.perf_counter() - start, 2)
    return Explanation(
        MapAudit(*share_in(found.location_map, lesions, brain), of_location),
        MapAudit(*share_in(cam, lesions, brain), of_cam),
        deletion,
        cam,
        seconds,
    )


def shuffled(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """Return a copy of the network in which the values of each parameter of the classifier are in random order."""
    other = copy.deepcopy(network)
    classifier = _classifier(other)
    if classifier is not None:
        with torch.no_grad():
            for parameter in other.get_submodule(classifier).parameters():
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return other


def maps_of(
    network: nn.Module, image: Float32[np.ndarray, "c x y z"], disease: int
) -> tuple[Float32[np.ndarray, "x y z"], Float32[np.ndarray, "x y z"]]:
    r"""Return the location map ([1] Eq. 10) and Grad-CAM of one class, of the image alone, on its grid (trilinear).

    Grad-CAM is that of the classifier's last block,

    .. math:: ReLU\Big(\sum_k \overline{\partial s_c / \partial F_k} \, F_k\Big)

    F_k: map k of the last block; s_c: score of the class; the bar is the mean over voxels. Since the scores are linear
    in the means of the maps (Eq. 6), this is the positive part of the coarsest location map of Eq. 10 divided by its
    number of voxels; the location map also includes the two finer scales.

    Raises:
        ValueError: the network has no classifier of residual blocks.
    """
    from monai.visualize.class_activation_maps import GradCAM

    classifier = _classifier(network)
    if classifier is None:
        raise ValueError("Grad-CAM needs a network with a residual classifier.")
    blocks = network.get_submodule(f"{classifier}.blocks")
    names = [f"network.{classifier}.blocks.{number}" for number, _ in enumerate(blocks.children())]
    copied: Any = copy.deepcopy(network)  # MONAI leaves hooks on it
    scores = _Scores(copied.to(memory_format=torch.contiguous_format))  # MONAI takes views of gradients
    for name, parameter in scores.named_parameters():
        # MONAI's hook needs a gradient at the last block's input; gradients of earlier layers would only use memory
        parameter.requires_grad_(name.startswith(tuple(f"{block}." for block in names[-2:])))
    batch = torch.from_numpy(np.array(image)).unsqueeze(0).to(next(network.parameters()).device)
    # by default MONAI inverts the values
    cam = GradCAM(nn_module=scores, target_layers=names[-1], postprocessing=nn.Identity())(x=batch, class_idx=disease)
    maps = [each.detach() for each in scores.location_maps]
    location = summed_map(maps, disease, batch.shape[2:])
    return location[0].cpu().numpy(), cam[0, 0].detach().float().cpu().numpy()


@final
class _Scores(nn.Module):
    """Returns only the class scores, as required by MONAI, and keeps the location maps."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.location_maps: tuple[Tensor, ...] = ()

    def forward(self, image: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b classes"]:
        prediction = self.network(image)
        self.location_maps = prediction.location_maps
        return prediction.disease_logits


def _delete(
    predict: Callable[[Float32[np.ndarray, "c x y z"]], Findings],
    image: Float32[np.ndarray, "c x y z"],
    probability: Float[np.ndarray, " classes"],
    lesions: Bool[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    voxel_ml: float,
    seed: int,
) -> Deletion:
    predicted = int(probability.argmax())
    control = mirrored(lesions, brain)
    after = []
    for mask in (lesions, control):
        probabilities = None
        if mask.any():
            probabilities = predict(filled(image, mask, brain, np.random.default_rng(seed))).disease_probability
        after.append(math.nan if probabilities is None else float(probabilities[predicted]))
    volumes = (float(mask.sum()) * voxel_ml for mask in (lesions, control))
    return Deletion(float(probability[predicted]), *after, *volumes)


def _classifier(network: nn.Module) -> str | None:
    return next((name for name, part in network.named_modules() if isinstance(part, ResidualClassifier)), None)
