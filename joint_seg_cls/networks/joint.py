"""The joint network: lesion map and disease from one image ([1], section 3.2)."""

from collections.abc import Sequence
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks.classification import ResidualClassifier
from joint_seg_cls.networks.components import Classification, Component, Guidance, Segmentation, Sharing
from joint_seg_cls.networks.guidance import FullGuidance, NoGuidance
from joint_seg_cls.networks.input_size import check_modalities, checked_size
from joint_seg_cls.networks.segmentation import SegmentationUNet
from joint_seg_cls.networks.sharing import CrossoverSharing


@final
class JointNetwork(nn.Module):
    """Segment lesions and classify the disease from shared features, [1] Eq. 1-10.

    The default is the network of [1]: FLAIR of 160x160x160 voxels, MS or NMOSD. A component that is not
    given is that of [1], built with the sizes below; a given component has its own sizes. To omit a head, pass
    ``NoSegmentation()`` or ``NoClassification()``, together with ``NoGuidance()``.

    Args:
        sharing: maps the image to the features of both tasks; default: ``CrossoverSharing``.
        segmentation: maps features to the lesion map; default: ``SegmentationUNet``.
        guidance: guides the classifier by the lesion map; default: ``FullGuidance``.
        classification: maps features to class scores; default: ``ResidualClassifier``.
        in_channels: modalities of the image.
        classes: number of diseases.
        channels: base width; all other widths are multiples of it.
        image_size: voxels along the image's sides, each divisible by 16. ``forward`` accepts other sizes with
            the same attention windows.

    Raises:
        ConfigError: an invalid size (with the nearest valid ones), here or in ``forward``; components of
            different widths; guidance without both heads.

    [1] https://doi.org/10.3389/fnins.2024.1351387
    """

    def __init__(
        self,
        sharing: Sharing | None = None,
        segmentation: Segmentation | None = None,
        guidance: Guidance | None = None,
        classification: Classification | None = None,
        *,
        in_channels: int = 1,
        classes: int = 2,
        channels: int = 32,
        image_size: int | Sequence[int] = 160,
    ) -> None:
        super().__init__()
        self.image_size = checked_size(image_size)
        self.in_channels = in_channels
        self.sharing = sharing or CrossoverSharing(in_channels, channels, self.image_size)
        self.segmentation = segmentation or SegmentationUNet(channels)
        self.guidance = guidance or FullGuidance(channels)
        self.classification = classification or ResidualClassifier(channels, classes)
        _refuse_misfits(self.sharing, self.segmentation, self.guidance, self.classification)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks with a head."""
        heads = {"lesions": self.segmentation, "disease": self.classification}
        return tuple(task for task, head in heads.items() if not head.is_absent)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> Prediction:
        """Return the lesion map, its scales, the class scores and the location maps."""
        checked_size(image.shape[2:], where="image")
        check_modalities(image, self.in_channels)
        shared = self.sharing(image)
        takes_image = self.segmentation.takes_image
        segmented = self.segmentation(shared.segmentation, *([image] if takes_image else []))
        lesion_probability = None if segmented.lesion_logits is None else segmented.lesion_logits.sigmoid()
        guided_features = self.guidance(shared.classification, lesion_probability)
        classified = self.classification(guided_features)
        return Prediction(
            lesion_logits=segmented.lesion_logits,
            scale_logits=segmented.scale_logits,
            disease_logits=classified.disease_logits,
            location_maps=classified.location_maps,
        )


def _refuse_misfits(
    sharing: Component, segmentation: Segmentation, guidance: Component, classification: Classification
) -> None:
    parts = {"sharing": sharing, "segmentation": segmentation, "guidance": guidance, "classification": classification}
    widths = {name: part.channels for name, part in parts.items() if part.channels is not None}
    if len(set(widths.values())) > 1:
        raise ConfigError(
            "network",
            expected="components of one width",
            found=", ".join(f"{name} {width}" for name, width in widths.items()),
            remedy="build every component with the same channels",
        )
    heads = {"segmentation": segmentation, "classification": classification}
    absent = [name for name, head in heads.items() if head.is_absent]
    if len(absent) == 2:
        raise ConfigError(
            "network",
            expected="at least one task",
            found="neither segmentation nor classification",
            remedy="keep at least one of the two",
        )
    if absent and not isinstance(guidance, NoGuidance):
        raise ConfigError(
            "network.guidance",
            expected=f"none, as the network has no {absent[0]}",
            found=type(guidance).__name__,
            remedy="override network/guidance with none",
        )
