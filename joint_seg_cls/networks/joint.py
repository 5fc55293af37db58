"""The joint network: one pass from the image to the lesion map and the disease ([1], section 3.2)."""

from collections.abc import Sequence
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from joint_seg_cls.batch import Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.networks.classification import ResidualClassifier
from joint_seg_cls.networks.guidance import FullGuidance, NoGuidance
from joint_seg_cls.networks.input_size import checked_size
from joint_seg_cls.networks.parts import Classification, Guidance, Part, Segmentation, Sharing
from joint_seg_cls.networks.segmentation import SegmentationUNet
from joint_seg_cls.networks.sharing import CrossoverSharing


@final
class JointNetwork(nn.Module):
    """Segment lesions and name the disease from shared features, [1] Eq. 1-10.

    Called without arguments it is the network of [1]: FLAIR of 160x160x160 voxels, MS or NMOSD. A part that is not
    given is the one of [1], built with the sizes below; a part that is given brings its own. A head is left out by
    giving ``NoSegmentation()`` or ``NoClassification()``, with ``NoGuidance()`` beside it.

    Args:
        sharing: from the image to the features of both tasks, ``CrossoverSharing`` by default.
        segmentation: from features to the lesion map, ``SegmentationUNet`` by default.
        guidance: how the lesion map steers the classifier, ``FullGuidance`` by default.
        classification: from features to class scores, ``ResidualClassifier`` by default.
        in_channels: modalities of the image.
        classes: diseases to tell apart.
        channels: base width, from which every other derives.
        image_size: voxels along the image's sides, each divisible by 16. Other sizes may be given to ``forward`` as
            long as the attention windows are the same.

    Raises:
        ConfigError: a size that does not fit (the nearest that do are named), here or in ``forward``; parts of
            different width; guidance without both heads.

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
        """The tasks whose head is not left out."""
        heads = {"lesions": self.segmentation, "disease": self.classification}
        return tuple(task for task, head in heads.items() if not head.is_absent)

    def forward(self, image: Float[Tensor, "b modalities x y z"]) -> Prediction:
        """Return the lesion map, its scales, the class scores and the location maps."""
        checked_size(image.shape[2:], where="image")
        if image.shape[1] != self.in_channels:
            raise ConfigError(
                "image",
                expected=f"{self.in_channels} modalities",
                found=str(image.shape[1]),
                remedy="give the modalities that the network was built for, or set network.in_channels to their number",
            )
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


def _refuse_misfits(sharing: Part, segmentation: Segmentation, guidance: Part, classification: Classification) -> None:
    parts = {"sharing": sharing, "segmentation": segmentation, "guidance": guidance, "classification": classification}
    widths = {name: part.channels for name, part in parts.items() if part.channels is not None}
    if len(set(widths.values())) > 1:
        raise ConfigError(
            "network",
            expected="parts of one width",
            found=", ".join(f"{name} {width}" for name, width in widths.items()),
            remedy="build every part with the same channels",
        )
    heads = {"segmentation": segmentation, "classification": classification}
    absent = [name for name, head in heads.items() if head.is_absent]
    if len(absent) == 2:
        raise ConfigError(
            "network",
            expected="at least one task",
            found="neither segmentation nor classification",
            remedy="leave out one of the two at most",
        )
    if absent and not isinstance(guidance, NoGuidance):
        raise ConfigError(
            "network.guidance",
            expected=f"none, as the network has no {absent[0]}",
            found=type(guidance).__name__,
            remedy="override network/guidance with none",
        )
